"""The extra arguments that some transformations take."""

import pytest


@pytest.fixture(scope="session")
def evaluations():
    """`value -> arguments` of plateau and of the noise estimate."""

    def of(value):
        return {
            "value": value,
            "small_squared_norm": 10 * value,
            "small_batch_size": 2,
            "batch_size": 8,
        }

    return of
