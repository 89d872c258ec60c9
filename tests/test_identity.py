"""The identity of arrays, functions and objects: by content, the same in every process."""

import functools
import subprocess
import sys

import flax.linen as nn
import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.identity import identity_digest, identity_of

VALUES = """
import flax.linen as nn, jax, jax.numpy as jnp, numpy as np, optax
import jaxsched as js
from jaxsched.identity import identity_digest
values = [
    optax.adamw(js.Cosine(0.1, 100), mask=lambda params: {"a": params in {"x", "y", "z"}}),
    optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.lion)(1e-3)),
    nn.Sequential([nn.Dense(3, kernel_init=nn.initializers.zeros), nn.gelu]),
    jax.jit(lambda x: x + np.arange(3)),
    jax.random.key(3),
    jnp.ones(3, jnp.bfloat16),
]
"""


def scaled(factor):
    return lambda x: factor * x


class Base:
    def value(self):
        return 1


class Other(Base):
    def value(self):
        return 2


DIFFERENT = [
    (scaled(2.0), scaled(3.0)),
    (scaled(np.ones(2)), scaled(np.zeros(2))),
    (lambda x: x + 1, lambda x: x + 2),
    (lambda x, y=1: x, lambda x, y=2: x),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (np.zeros(2, np.float32), np.zeros(2, np.int32)),
    (np.zeros((2, 1)), np.zeros((1, 2))),
    (Base(), Other()),
    (scaled(2).__call__, scaled(3).__call__),
    (nn.Dense(3), nn.Dense(3, use_bias=False)),
    (nn.Dense(3), nn.Dense(3, kernel_init=nn.initializers.normal(0.1))),
    (optax.sgd(0.1), optax.sgd(0.2)),
    (optax.sgd(0.1), optax.sgd(0.1, momentum=0.9)),
    (optax.sgd(js.Cosine(0.1, 10)), optax.sgd(js.Cosine(0.1, 11))),
    (float("nan"), float("inf")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_has_another_identity(one, other):
    assert identity_of(one) == identity_of(one)
    assert identity_digest(one) != identity_digest(other)


def test_a_value_that_contains_itself_has_an_identity():
    holder = Base()
    holder.me = holder
    assert identity_of(holder)["me"] == "itself"


def test_the_identity_of_a_schedule_is_older_than_its_folder_and_its_later_fields():
    assert identity_of(js.Warmup(js.SWAConstant(0.1, 0.05, 10), 2)) == {
        "type": "jaxsched.schedules.warmup:Warmup",
        "schedule": {
            "type": "jaxsched.schedules.swa:SWAConstant",
            "peak": 0.1,
            "swa": 0.05,
            "start": 10,
        },
        "duration": 2,
        "start": 0.0,
    }
    cosine = {"type": "jaxsched.schedules.cosine:Cosine", "peak": 0.1, "duration": 10, "end": 0.0}
    assert identity_of(js.Cosine(0.1, 10)) == cosine


@pytest.mark.slow
def test_the_identity_is_the_same_in_every_process():
    code = VALUES + "print([identity_digest(value) for value in values])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1 and "[" in outputs.pop()
