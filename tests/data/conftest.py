"""Fixtures for the tests of streamed sources."""

import numpy as np
import pytest

from jaxsched.data import BatchReader


@pytest.fixture
def assert_workers_read_the_same():
    """Compares what a worker process reads of a split with what this process does."""

    def check(split, count, batch_size):
        read = []
        for workers in (0, 1):
            with BatchReader(
                split,
                np.arange(count),
                np.zeros(count, int),
                batch_size=batch_size,
                seed=0,
                workers=workers,
            ) as reader:
                read.append(np.concatenate([part for part, *_ in reader]))
        np.testing.assert_array_equal(*read)

    return check
