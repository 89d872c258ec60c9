"""Recomputed statistics against those of all examples, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jaxsched as js
from jaxsched.transforms.batch_stats import PooledMoments


def moments(x):
    """Mean and variance over all but the last axis."""
    axes = tuple(range(x.ndim - 1))
    return {"mean": x.mean(axes), "var": x.var(axes)}


@pytest.mark.parametrize("loc", [0.0, 300.0])
def test_batches_of_any_sizes_pool_to_the_whole_set(loc):
    """It works far from zero too, because no difference of squares is taken."""
    rng = np.random.default_rng(0)
    # Sorted, so that the batches differ and the variance between them counts.
    x = np.sort(rng.normal(loc, 1.0, size=(1000, 5)), axis=0)
    pooled = PooledMoments.none({"norm": moments(jnp.zeros((1, 5)))})
    for part in np.split(x, [3, 10, 100, 600]):
        batch = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), {"norm": moments(part)})
        pooled = pooled.add(batch, len(part))
    ours = pooled.batch_stats["norm"]
    np.testing.assert_allclose(ours["mean"], x.mean(0), rtol=1e-6, atol=1e-6)
    # The means lose 300 · 2⁻²⁴ to float32; squares would lose a hundred times that.
    np.testing.assert_allclose(ours["var"], x.var(0), rtol=1e-4)
    assert float(pooled.num_examples) == 1000


def test_an_average_of_variances_would_miss_what_lies_between():
    pooled = PooledMoments.none({"norm": moments(jnp.zeros((1, 1)))})
    for value in (0.0, 10.0):
        pooled = pooled.add({"norm": moments(jnp.full((4, 1), value))}, 4)
    assert float(pooled.batch_stats["norm"]["var"][0]) == pytest.approx(25.0)


class TwoNorms(nn.Module):
    """A network whose second norm sees what the first one makes of a batch."""

    momentum: float

    @nn.compact
    def __call__(self, x):
        for width in (3, 4):
            x = nn.Dense(width)(x)
            x = nn.BatchNorm(use_running_average=False, momentum=self.momentum)(x)
        return x


def draw_batches():
    """Batches of several sizes, far from each other."""
    rng = np.random.default_rng(0)
    return [rng.normal(loc, 2.0, size=(size, 5)) for loc, size in ((0, 32), (3, 32), (-7, 8))]


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99, 0.999])
def test_statistics_are_those_of_a_float64_network_on_all_examples(momentum):
    module, batches = TwoNorms(momentum), draw_batches()
    variables = module.init(jax.random.key(1), jnp.ones((2, 5)))

    @jax.jit
    def apply(variables, batch):
        return module.apply(variables, batch, mutable=["batch_stats"])[1]["batch_stats"]

    inputs = [jnp.asarray(batch, jnp.float32) for batch in batches]
    found = js.recompute_batch_stats(apply, variables, iter(inputs))
    assert found["params"] is variables["params"]
    # In float64: a batch is normalised by its own statistics, and those of all are kept.
    layers = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    for n in range(2):
        dense = layers[f"Dense_{n}"]
        batches = [batch @ dense["kernel"] + dense["bias"] for batch in batches]
        every, ours = np.concatenate(batches), found["batch_stats"][f"BatchNorm_{n}"]
        error = 1e-6 / (1 - momentum)
        np.testing.assert_allclose(ours["mean"], every.mean(0), rtol=error, atol=error)
        np.testing.assert_allclose(ours["var"], every.var(0), rtol=max(error, 1e-5))
        batches = [(batch - batch.mean(0)) / np.sqrt(batch.var(0) + 1e-5) for batch in batches]


def test_statistics_of_flax_nnx():
    model = nnx.BatchNorm(5, momentum=0.9, rngs=nnx.Rngs(0))
    graph, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)

    def apply(variables, batch):
        merged = nnx.merge(graph, variables["params"], variables["batch_stats"])
        merged(batch)
        return nnx.state(merged, nnx.BatchStat)

    batches = draw_batches()
    found = js.recompute_batch_stats(apply, {"params": params, "batch_stats": stats}, batches)
    every = np.concatenate(batches)
    np.testing.assert_allclose(found["batch_stats"]["mean"][...], every.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["batch_stats"]["var"][...], every.var(0), rtol=1e-5)


def test_what_cannot_be_recomputed_is_refused_with_the_fix():
    stats = {"norm": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}
    batch = jnp.ones((4, 2))
    for variables in ({"params": {}}, {"params": {}, "batch_stats": {}}):
        with pytest.raises(ValueError, match="has nothing to recompute"):
            js.recompute_batch_stats(lambda variables, batch: {}, variables, [batch])
    with pytest.raises(ValueError, match="at least one batch, got none"):
        js.recompute_batch_stats(lambda variables, batch: stats, {"batch_stats": stats}, [])
    with pytest.raises(ValueError, match="in training mode"):  # it returns what it was given
        js.recompute_batch_stats(
            lambda variables, batch: variables["batch_stats"], {"batch_stats": stats}, [batch]
        )
