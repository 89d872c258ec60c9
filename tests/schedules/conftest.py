"""The values of a schedule at the first updates, ours and Optax's."""

import jax.numpy as jnp
import numpy as np
import pytest

# Needs frameworks that the tests do not: pytest must not import it in search of doctests.
collect_ignore = ["record_frameworks.py"]
UPDATES = np.arange(120)
LENGTH = 10_000


@pytest.fixture(scope="session")
def values():
    """The values in float64; padded to one length, so that each operation compiles once."""

    def of(schedule, times=UPDATES):
        padded = jnp.asarray(np.resize(times, LENGTH))
        return np.asarray(schedule(padded), np.float64)[: len(times)]

    return of


@pytest.fixture(scope="session")
def values_of_optax():
    return lambda schedule: np.asarray([schedule(int(update)) for update in UPDATES])
