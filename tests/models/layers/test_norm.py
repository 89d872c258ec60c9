"""The two norms and weight standardisation against float64 formulae."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn.initializers import ones

from jaxsched.models import BatchNorm, CifarResNet, GroupNorm
from jaxsched.models.layers.norm import standardise

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, (4, 5, 3, 8)).astype(np.float32)


def layer(norm, *, train):
    return norm.layer(dtype=jnp.float32, axis_name=None, train=train, scale_init=ones, name="norm")


def test_batch_norm_normalises_by_the_batch_and_moves_its_statistics_by_a_tenth():
    norm = layer(BatchNorm(), train=True)
    variables = norm.init(jax.random.key(0), IMAGES)
    output, updated = norm.apply(variables, IMAGES, mutable=["batch_stats"])
    mean, variance = (np.float64(IMAGES).mean((0, 1, 2)), np.float64(IMAGES).var((0, 1, 2)))
    expected = (IMAGES - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    # From a mean of 0 and a variance of 1; the variance is the biased one.
    np.testing.assert_allclose(updated["batch_stats"]["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], 0.9 + 0.1 * variance, rtol=1e-5)


def test_batch_norm_evaluates_by_the_running_statistics():
    norm = layer(BatchNorm(epsilon=0.5), train=False)
    statistics = {"mean": np.arange(8.0, dtype=np.float32), "var": np.full(8, 3.5, np.float32)}
    variables = {**norm.init(jax.random.key(0), IMAGES), "batch_stats": statistics}
    expected = (IMAGES - np.arange(8.0)) / 2.0
    np.testing.assert_allclose(norm.apply(variables, IMAGES), expected, rtol=1e-5, atol=1e-5)


def test_group_norm_normalises_each_example_by_four_channels():
    norm = layer(GroupNorm(), train=True)
    output = norm.apply(norm.init(jax.random.key(0), IMAGES), IMAGES)
    grouped = np.float64(IMAGES).reshape(4, 15, 2, 4)
    mean, variance = (moment(axis=(1, 3), keepdims=True) for moment in (grouped.mean, grouped.var))
    expected = ((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(IMAGES.shape)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_standardise_removes_the_mean_and_divides_by_the_unbiased_deviation():
    kernel = np.random.default_rng(1).normal(1.0, 0.01, (3, 3, 4, 5)).astype(np.float32)
    columns = np.float64(kernel).reshape(36, 5)
    deviation = np.sqrt(((columns - columns.mean(0)) ** 2).sum(0) / 35)
    expected = ((columns - columns.mean(0)) / (deviation + 1e-5)).reshape(kernel.shape)
    np.testing.assert_allclose(standardise(kernel), expected, rtol=1e-3, atol=1e-4)


def test_a_single_weight_has_no_deviation():
    with pytest.raises(ValueError, match="at least two weights"):
        standardise(jnp.ones((1, 1, 1, 4)))


def test_a_network_with_group_norm_does_not_see_shift_and_scale_of_its_kernels(draw_variables):
    model = CifarResNet(depth=8, width=4, norm=GroupNorm()).build(num_classes=3)
    variables = draw_variables(model, (8, 8, 1))
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))

    def moved(path, leaf):
        return 3.0 * leaf + 0.5 if path[-1].key == "kernel" and leaf.ndim == 4 else leaf

    params = jax.tree_util.tree_map_with_path(moved, variables["params"])
    evaluate = jax.jit(model.eval_logits)
    logits = evaluate(variables, images)
    # To the share of 1e-5 in a deviation of 0.1 or more.
    np.testing.assert_allclose(
        evaluate({**variables, "params": params}, images), logits, rtol=1e-3, atol=1e-3
    )
    assert variables["batch_stats"] == {}


@pytest.mark.parametrize("group_size", [0, 3, 8])
def test_a_group_size_that_does_not_divide_names_those_that_do(group_size):
    with pytest.raises(ValueError, match=r"4 channels; choose one of \[1, 2, 4\]"):
        CifarResNet(depth=8, width=4, norm=GroupNorm(group_size))
