"""Ghost batch norm against its groups in float64, one after another, on one device and on more."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.nn.initializers import ones
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsched.models import BatchNorm, CifarResNet, GroupNorm, Network

AXIS = "devices"
RANDOM = np.random.default_rng(0)
# 24 examples, each of a mean of its own, so that groups of other examples would show.
IMAGES = (RANDOM.normal(2, 3, (24, 3, 2, 5)) + RANDOM.normal(0, 2, (24, 1, 1, 5))).astype("float32")
WEIGHTS = RANDOM.normal(size=IMAGES.shape).astype("float32")
VARIABLES = {
    "params": {"scale": np.linspace(0.5, 2, 5, dtype="float32"), "bias": np.arange(5.0) / 4},
    "batch_stats": {"mean": np.linspace(-1, 1, 5), "var": np.linspace(1, 3, 5)},
}
VARIABLES = jax.tree.map(np.float32, VARIABLES)


def expected(ghost, momentum=0.9):
    """In float64: output, statistics, and the gradient of the weighted sum of the output."""
    params, old = VARIABLES["params"], VARIABLES["batch_stats"]
    groups = [slice(start, start + ghost) for start in range(0, len(IMAGES), ghost)]
    standard, by_image = np.zeros(IMAGES.shape), np.zeros(IMAGES.shape)
    means, variances = [], []
    for group in groups:
        x, weights = np.float64(IMAGES[group]), np.float64(WEIGHTS[group])
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        z = (x - mean) / np.sqrt(variance + 1e-5)
        slope = weights - weights.mean((0, 1, 2)) - z * (weights * z).mean((0, 1, 2))
        by_image[group] = slope * params["scale"] / np.sqrt(variance + 1e-5)
        standard[group] = z
        means.append(mean)
        variances.append(variance)
    statistics = {
        "mean": momentum * old["mean"] + (1 - momentum) * np.mean(means, axis=0),
        "var": momentum * old["var"] + (1 - momentum) * np.mean(variances, axis=0),
    }
    by_params = {
        "scale": (WEIGHTS * standard).sum((0, 1, 2)),
        "bias": WEIGHTS.sum((0, 1, 2)),
    }
    return standard * params["scale"] + params["bias"], statistics, by_params, by_image


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def layer(norm, axis_name=None, train=True):
    return norm.layer(
        dtype=jnp.float32, axis_name=axis_name, train=train, scale_init=ones, name="norm"
    )


def training(ghost, axis_name=None):
    """The layer's results in place of `expected`'s: (variables, images, weights) -> the four."""
    norm = layer(BatchNorm(ghost=ghost), axis_name)

    def run(variables, images, weights):
        def loss(params, images):
            output, updated = norm.apply(
                {**variables, "params": params}, images, mutable=["batch_stats"]
            )
            return jnp.sum(output * weights), (output, updated["batch_stats"])

        params = variables["params"]
        if axis_name is not None:
            params = lax.pcast(params, axis_name, to="varying")
        gradient, (output, statistics) = jax.grad(loss, (0, 1), has_aux=True)(params, images)
        if axis_name is not None:
            gradient = (lax.psum(gradient[0], axis_name), gradient[1])
        return output, statistics, *gradient

    return run


def mesh(devices):
    return Mesh(jax.devices()[:devices], (AXIS,))


def on_one(devices, ghost):
    del devices
    return jax.jit(training(ghost))(VARIABLES, IMAGES, WEIGHTS)


def by_mesh(devices, ghost):
    """Under jit the batch is the global one, its rows spread over the devices."""
    spread = NamedSharding(mesh(devices), PartitionSpec(AXIS))
    return jax.jit(training(ghost))(VARIABLES, *jax.device_put((IMAGES, WEIGHTS), spread))


def by_shard_map(devices, ghost):
    """Rejected unless the statistics are provably the same on all devices."""
    split, same = PartitionSpec(AXIS), PartitionSpec()
    run = jax.shard_map(
        training(ghost, AXIS),
        mesh=mesh(devices),
        in_specs=(same, split, split),
        out_specs=(split, same, same, split),
        check_vma=True,
    )
    return jax.jit(run)(VARIABLES, IMAGES, WEIGHTS)


def by_pmap(devices, ghost):
    parts = [x.reshape(devices, -1, *x.shape[1:]) for x in (IMAGES, WEIGHTS)]
    run = jax.pmap(
        training(ghost, AXIS),
        axis_name=AXIS,
        in_axes=(None, 0, 0),
        out_axes=(0, None, None, 0),
        devices=jax.devices()[:devices],
    )
    output, statistics, by_params, by_images = run(VARIABLES, *parts)
    whole = (np.reshape(x, IMAGES.shape) for x in (output, by_images))
    return next(whole), statistics, by_params, next(whole)


@pytest.mark.parametrize(
    ("way", "devices", "ghost"),
    [
        (on_one, 1, 1),
        (on_one, 1, 6),
        (on_one, 1, 24),
        *(
            (way, devices, ghost)
            for way in (by_mesh, by_shard_map, by_pmap)
            # Of a device's 6 or 12 examples: two groups, the third of one, all of one on four
            # devices, the half of one; and of 8, a group and the third of another.
            for devices, ghost in [(4, 3), (4, 12), (4, 24), (2, 24), (4, 8)]
        ),
    ],
)
def test_output_statistics_and_gradient_are_those_of_the_groups(way, devices, ghost):
    jax.tree.map(assert_close, way(devices, ghost), expected(ghost))


@pytest.mark.parametrize("ghost", [3, 6, 12, 8])
def test_images_stay_on_their_devices(ghost):
    """The compiled program sends a few moments, far below the size of the images."""
    spread = NamedSharding(mesh(4), PartitionSpec(AXIS))
    images = jax.ShapeDtypeStruct((24, 32, 32, 5), jnp.float32, sharding=spread)
    program = jax.jit(training(ghost)).lower(VARIABLES, images, images).compile().as_text()
    pattern = r"= (.*) (?:all-\w+|collective-permute|reduce-scatter)(?:-start)?\("
    sent = [
        math.prod(int(side) for side in shape.split(",") if side)
        for shapes in re.findall(pattern, program)
        for shape in re.findall(r"f32\[([\d,]*)\]", shapes)
    ]
    assert sent and max(sent) <= 24 * 2 * 5  # The averages are of all devices, so some are sent.


def test_variables_are_those_of_batch_norm():
    ghost, batch = (
        layer(norm).init(jax.random.key(0), IMAGES) for norm in (BatchNorm(ghost=7), BatchNorm())
    )
    jax.tree.map(np.testing.assert_array_equal, ghost, batch)


def test_bfloat16_has_float32_statistics():
    norm = BatchNorm(ghost=8).layer(
        dtype=jnp.bfloat16, axis_name=None, train=True, scale_init=ones, name="norm"
    )
    rounded = IMAGES.astype(jnp.bfloat16)
    output, updated = norm.apply(VARIABLES, rounded, mutable=["batch_stats"])
    assert output.dtype == jnp.bfloat16
    right, statistics, *_ = expected(8)
    np.testing.assert_allclose(output.astype("float32"), right, rtol=0.02, atol=0.05)
    # Rounded to eight bits, the statistics would differ by more; the images' rounding averages out.
    for name in "mean", "var":
        np.testing.assert_allclose(updated["batch_stats"][name], statistics[name], rtol=2e-3)


NETWORK = CifarResNet(depth=8, width=4, norm=BatchNorm(ghost=8))
PICTURES = np.random.default_rng(1).normal(1, 2, (16, 8, 8, 3)).astype("float32")
KEYS = jax.random.split(jax.random.key(0), 16)


@pytest.fixture(scope="module")
def alone(draw_variables):
    """The network on one device: its variables, and its results for the sixteen images."""
    model = NETWORK.build(2)
    variables = draw_variables(model, (8, 8, 3))
    return variables, jax.jit(model.train_logits)(variables, PICTURES, KEYS)


def test_accumulated_micro_batches_are_one_big_batch(alone):
    variables, (logits, statistics) = alone
    run = jax.jit(NETWORK.build(2).train_logits)
    parts = [run(variables, PICTURES[i : i + 8], KEYS[i : i + 8]) for i in (0, 8)]
    assert_close(np.concatenate([part[0] for part in parts]), logits)
    average = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *(part[1] for part in parts))
    jax.tree.map(assert_close, average, statistics)


def test_a_network_on_four_devices_is_the_network_on_one(alone):
    """With four images on a device, which are half a group."""
    variables, expected = alone
    spread = jax.device_put((PICTURES, KEYS), NamedSharding(mesh(4), PartitionSpec(AXIS)))
    jax.tree.map(assert_close, jax.jit(NETWORK.build(2).train_logits)(variables, *spread), expected)
    logits, statistics = jax.pmap(
        NETWORK.build(2, axis_name=AXIS).train_logits,
        axis_name=AXIS,
        in_axes=(None, 0, 0),
        out_axes=(0, None),
    )(variables, PICTURES.reshape(4, 4, 8, 8, 3), KEYS.reshape(4, 4))
    jax.tree.map(assert_close, (logits.reshape(16, 2), statistics), expected)


def test_evaluation_and_re_estimation_know_no_groups():
    assert layer(BatchNorm(ghost=8), train=False) == layer(BatchNorm(), train=False)
    assert BatchNorm(ghost=8).with_batch_moments() == BatchNorm(momentum=0.0)
    model = NETWORK.build(2)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), (8, 8, 3)))
    for function in model.eval_logits, model.batch_moments:
        jax.eval_shape(function, variables, PICTURES[:7])  # No multiple of a group.


def test_a_batch_that_is_no_multiple_names_those_that_are():
    message = r"groups of 5 examples, got a batch or micro-batch of 24; choose a multiple of 5, or"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(training(5), VARIABLES, IMAGES, WEIGHTS)
    message = r"24; choose a multiple of 36, or a ghost of one of \[1, 2, 3, 4, 6, 8, 12, 24\]"
    with pytest.raises(ValueError, match=message):
        by_shard_map(4, 9)


@pytest.mark.parametrize("ghost", [0, -1, 2.0, "8"])
def test_a_ghost_is_a_whole_number(ghost):
    with pytest.raises(ValueError, match=rf"whole number.*got (ghost=)?{ghost!r}"):
        BatchNorm(ghost=ghost)


def test_examples_whose_results_depend_on_one_another():
    norms = {BatchNorm(): None, BatchNorm(ghost=32): 32, GroupNorm(): 1}
    for norm, examples in norms.items():
        assert CifarResNet(depth=8, norm=norm).batch_group == norm.batch_group == examples
    assert Network().batch_group is None
