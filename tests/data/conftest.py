"""What the tests of several streamed sources share."""

import numpy as np
import pytest

from jaxsched.data import BatchReader


@pytest.fixture
def assert_workers_read_the_same():
    """Compares what a worker process reads of some records with what this process does."""

    def check(records, count, batch_size):
        images = []
        for workers in (0, 1):
            with BatchReader(
                records,
                np.arange(count),
                np.zeros(count, int),
                batch_size=batch_size,
                seed=0,
                workers=workers,
            ) as reading:
                images.append(np.concatenate([batch.images for batch in reading]))
        np.testing.assert_array_equal(*images)

    return check
