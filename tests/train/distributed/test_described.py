"""A described driver compiles the program that the real driver compiles."""

import re

import jax
import numpy as np
import pytest

from jaxsched.train.distributed.described import DescribedJitDriver, DescribedPmapDriver
from jaxsched.train.distributed.jit import JitDriver
from jaxsched.train.distributed.pmap import PmapDriver


def _program(shard, weights, rows):
    return weights * shard(rows).sum()


def _text(driver) -> str:
    weights = driver.replicate(np.ones(3, np.float32))
    rows = driver.replicate(np.ones((8, 4), np.float32))
    compiled = driver.compile(_program, weights, rows)
    text = getattr(compiled, "func", compiled).as_text()
    # The operations, without the lines of our source that they come from.
    operations = [line for line in text.splitlines() if " = " in line]
    assert operations
    return re.sub(r", metadata=\{[^}]*\}", "", "\n".join(operations))


@pytest.mark.parametrize(
    ("described", "real"), [(DescribedJitDriver, JitDriver), (DescribedPmapDriver, PmapDriver)]
)
def test_it_compiles_the_same_program(described, real):
    assert _text(described(jax.devices()[:2])) == _text(real(jax.devices()[:2]))


def test_it_places_nothing():
    placed = DescribedJitDriver(jax.devices()[:1]).replicate({"a": np.ones(3, np.float32)})
    assert isinstance(placed["a"], jax.ShapeDtypeStruct)
