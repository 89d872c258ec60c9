"""The dtype in which devices add up their gradients, in the program and in its results."""

import collections
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxsched.train.distributed.driver import AXIS
from jaxsched.train.step.micro_batches import Batch, MicroBatches
from jaxsched.train.step.state import init_state
from jaxsched.train.step.train_step import make_update

DEVICES = 2
LEAVES = 11  # three convolutions, three norms with scale and bias, and the head


@pytest.fixture(scope="module")
def updates(experiment):
    """Makes the update of a network in bfloat16, split by the compiler or mapped, by SGD at 1."""
    mesh, dataset = Mesh(np.array(jax.devices()[:DEVICES]), (AXIS,)), experiment.task.data.load()
    tx = optax.with_extra_args_support(optax.sgd(1.0))

    def make(axis_name, gradient_dtype):
        task = experiment.task.build(dataset, dtype=jnp.bfloat16, axis_name=axis_name)
        update = make_update(task, tx, axis_name=axis_name, gradient_dtype=gradient_dtype)

        def step(state, batch):
            return update(state, MicroBatches.one(batch))[0]

        if axis_name is None:
            return jax.jit(step)
        return jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P()))

    key = jax.random.key(0)
    state = init_state(experiment.task.build(dataset).init(key), tx)
    images = jax.random.normal(key, (16, 8, 8, 3), jnp.bfloat16)
    batch = Batch((images, jnp.arange(16) % 4), jax.random.split(key, 16))
    return make, state, jax.device_put(batch, jax.NamedSharding(mesh, P(AXIS)))


def dtypes(pattern, text):
    """How many results of each dtype the operations have, from their types in the text."""
    types = [dtype for found in re.findall(pattern, text, re.DOTALL) for dtype in found.split(",")]
    return collections.Counter(re.search(r"(\w+)>", dtype)[1].split("x")[-1] for dtype in types)


@pytest.mark.parametrize(("dtype", "name"), [(jnp.float32, "f32"), (jnp.bfloat16, "bf16")])
def test_kernels_have_gradients_of_the_dtype(updates, dtype, name):
    """Of eight convolutions three give kernels; the split batch is added up in what they give."""
    make, state, batch = updates
    text = make(None, dtype).lower(state, batch).as_text()
    found = dtypes(r"stablehlo\.convolution\([^\n]*-> ([^\n]*)", text)
    assert found == collections.Counter(["bf16"] * 5 + [name] * 3)


@pytest.mark.parametrize(("dtype", "name"), [(jnp.float32, "f32"), (jnp.bfloat16, "bf16")])
def test_replicas_exchange_gradients_of_the_dtype(updates, dtype, name):
    make, state, batch = updates
    text = make(AXIS, dtype).lower(state, batch).as_text()
    found = dtypes(r"stablehlo\.all_reduce.*?\}\) : \([^)]*\) -> \(?([^\n)]*)", text)
    assert found["f32"] >= 9  # statistics of batch norm, and the metrics
    assert found["bf16"] == (LEAVES if name == "bf16" else 0)


@pytest.mark.slow
def test_the_compiler_and_the_replicas_add_up_alike(updates):
    """In float32 to its rounding; rounded first, to the three digits of bfloat16."""
    make, state, batch = updates

    def gradient(axis_name, dtype):
        new = make(axis_name, dtype)(state, batch)
        return jax.tree.map(lambda a, b: np.float64(a) - np.float64(b), state.params, new.params)

    def distance(a, b):
        return float(optax.tree.norm(optax.tree.sub(a, b)) / optax.tree.norm(b))

    split, mapped = (gradient(axis_name, jnp.float32) for axis_name in (None, AXIS))
    assert distance(split, mapped) < 2e-5
    for axis_name in None, AXIS:
        assert 2e-4 < distance(gradient(axis_name, jnp.bfloat16), mapped) < 1e-2
