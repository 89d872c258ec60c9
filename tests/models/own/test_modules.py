"""Own modules as pure functions: how Flax's users say that a module trains, and what is carried."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsched.models import LinenModule, NnxModule

X = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32) * 3 + 1


def layers(x, *, is_training=None):
    """Batch norm and dropout, told by these arguments or, with None, by nobody."""
    told = {} if is_training is None else {"use_running_average": not is_training}
    x = nn.BatchNorm(momentum=0.75, **told)(x)
    told = {} if is_training is None else {"deterministic": not is_training}
    return nn.Dropout(0.5, **told)(x)


class Train(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool):
        return layers(x, is_training=train)


class Training(nn.Module):
    @nn.compact
    def __call__(self, x, *, training: bool = False):
        return layers(x, is_training=training)


class IsTraining(nn.Module):
    @nn.compact
    def __call__(self, x, is_training):
        return layers(x, is_training=is_training)


class Deterministic(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        return layers(x, is_training=not deterministic)


class UseRunningAverage(nn.Module):
    @nn.compact
    def __call__(self, x, *, use_running_average: bool):
        return layers(x, is_training=not use_running_average)


class Field(nn.Module):
    train: bool = True

    @nn.compact
    def __call__(self, x):
        return layers(x, is_training=self.train)


class Untold(nn.Module):
    @nn.compact
    def __call__(self, x):
        return layers(x)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.BatchNorm(5, momentum=0.75, rngs=rngs)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.layers[0](x))


class NnxTold(Nnx):
    def __call__(self, x, *, train: bool):
        norm = self.layers[0](x, use_running_average=not train)
        return self.dropout(norm, deterministic=not train)


NETWORKS = [
    *(LinenModule(kind()) for kind in (Train, Training, IsTraining, Deterministic)),
    *(LinenModule(kind()) for kind in (UseRunningAverage, Field, Untold)),
    LinenModule(nn.Sequential([nn.BatchNorm(momentum=0.75), nn.Dropout(0.5)])),
    NnxModule(Nnx(nnx.Rngs(0))),
    NnxModule(Nnx),
    NnxModule(lambda rngs: NnxTold(rngs)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_usual_way_to_say_that_a_module_trains(network):
    functions = network.functions()
    variables = functions.init(jax.random.key(0), (X,))
    mean, var = X.mean(axis=0, dtype=np.float64), X.var(axis=0, dtype=np.float64)
    normal = (X - mean) / np.sqrt(var + 1e-5)

    outputs, stats = functions.train(variables, (X,), jax.random.key(1))
    kept = np.asarray(outputs) != 0
    np.testing.assert_allclose(np.asarray(outputs)[kept], 2 * normal[kept], atol=1e-4)
    assert 0.3 < kept.mean() < 0.7
    (found,) = (leaf for leaf in jax.tree.leaves(stats, is_leaf=is_norm) if is_norm(leaf))
    np.testing.assert_allclose(found["mean"], 0.25 * mean, rtol=1e-4)
    np.testing.assert_allclose(found["var"], 0.75 + 0.25 * var, rtol=1e-4)

    (moments,) = jax.tree.leaves(functions.batch_moments(variables, (X,)), is_leaf=is_norm)
    np.testing.assert_allclose(moments["mean"], mean, rtol=1e-4)
    np.testing.assert_allclose(moments["var"], var, rtol=1e-4)

    evaluated = functions.evaluate({**variables, "batch_stats": stats}, (X,))
    expected = (X - 0.25 * mean) / np.sqrt(0.75 + 0.25 * var + 1e-5)
    np.testing.assert_allclose(evaluated, expected, atol=1e-4)
    assert jax.tree.structure(stats) == jax.tree.structure(variables["batch_stats"])
    momenta = functions.momenta((X,))
    assert jax.tree.structure(momenta) == jax.tree.structure(variables["batch_stats"])
    assert set(jax.tree.leaves(momenta)) == {0.75}


def test_each_norm_has_its_own_momentum_and_what_is_none_has_zero():
    class Mixed(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            self.variable("batch_stats", "calls", jnp.zeros, ())
            x = nn.BatchNorm(not train, momentum=0.5, name="first")(x)
            return nn.Sequential([nn.BatchNorm(not train, momentum=0.9)])(x)

    found = LinenModule(Mixed()).functions().momenta((X,))
    assert found == {
        "calls": 0.0,
        "first": {"mean": 0.5, "var": 0.5},
        "BatchNorm_0": {"mean": 0.9, "var": 0.9},
    }


def is_norm(node):
    return isinstance(node, dict) and set(node) == {"mean", "var"}


def test_a_function_of_rngs_draws_weights_by_the_key_and_a_module_keeps_its_own():
    made = NnxModule(lambda rngs: nnx.Linear(5, 2, rngs=rngs)).functions()
    kept = NnxModule(nnx.Linear(5, 2, rngs=nnx.Rngs(7))).functions()
    weights = nnx.Linear(5, 2, rngs=nnx.Rngs(7)).kernel.get_value()
    keys = [jax.random.key(seed) for seed in (0, 1)]
    first, second = (made.init(key, (X,))["params"]["kernel"] for key in keys)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(
        first, nnx.Linear(5, 2, rngs=nnx.Rngs(keys[0])).kernel.get_value()
    )
    for key in keys:
        np.testing.assert_array_equal(kept.init(key, (X,))["params"]["kernel"], weights)


def test_it_is_the_network_of_an_image_classifier():
    class Flat(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(x.reshape(len(x), -1))

    model = LinenModule(Flat()).build(num_classes=3)
    variables = model.init(jax.random.key(0), (4, 4, 1))
    assert model.eval_logits(variables, jnp.zeros((2, 4, 4, 1))).shape == (2, 3)
    with pytest.raises(ValueError, match=r"Flat needs to return logits \[B, 10\], one a class"):
        LinenModule(Flat()).build(num_classes=10).init(jax.random.key(0), (4, 4, 1))
    with pytest.raises(ValueError, match="the dtype that its layers are given"):
        LinenModule(Flat()).build(num_classes=3, dtype=jnp.bfloat16)
