"""Pooled statistics against those of all examples at once, in float64."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxsched as js
from jaxsched.data import example_keys
from jaxsched.models import BatchNorm, CifarResNet, GroupNorm, LinenModule
from jaxsched.models.linen import Layers
from jaxsched.train import Program, train
from jaxsched.train.step.batch_norm_stats import even_batches, relative_error, stepped_by_examples


def moments(x):
    """Mean and variance over all but the last axis."""
    axes = tuple(range(x.ndim - 1))
    return {"mean": x.mean(axes), "var": x.var(axes)}


@given(num_examples=st.integers(8, 5000), most=st.integers(1, 600), num_devices=st.integers(1, 8))
def test_batches_are_even_and_cover_what_the_devices_divide(num_examples, most, num_devices):
    batches = even_batches(num_examples, most, num_devices)
    sizes = [size for size, count in batches for _ in range(count)]
    assert sum(sizes) == num_examples - num_examples % num_devices
    assert max(sizes) - min(sizes) in (0, num_devices)
    assert all(size % num_devices == 0 for size in sizes)
    assert max(sizes) <= max(most, num_devices)


@settings(deadline=None)  # the first call compiles
@given(
    momentum=st.floats(0.01, 0.999),
    growth=st.integers(1, 40),
    before=st.floats(0, 100),
    batch=st.floats(0, 100),
)
def test_a_larger_batch_steps_statistics_as_often_as_the_first_size_would(
    momentum, growth, before, batch
):
    """Each time by the same statistics of the batch, in float64."""
    expected = before
    for _ in range(growth):
        expected = momentum * expected + (1 - momentum) * batch
    once = jnp.float32(momentum * before + (1 - momentum) * batch)
    old, new = ({"norm": {"var": jnp.float32(value)}} for value in (before, once))
    ours = stepped_by_examples(old, new, {"norm": {"var": momentum}}, growth)["norm"]["var"]
    rounding = 1e-30 + 1e-6 * max(before, batch) / (1 - momentum)
    assert float(ours) == pytest.approx(expected, abs=rounding, rel=1e-6)
    assert float(ours) >= 0


class Own(nn.Module):
    @nn.compact
    def __call__(self, images, train):
        pixels = nn.BatchNorm(not train, momentum=0.7)(images.reshape(len(images), -1))
        return nn.Dense(4)(pixels)


def small(norm):
    return CifarResNet(depth=8, width=4, norm=norm)


def grown(experiment, model, **changes):
    """The running statistics of a run before and after its first update with 48 for 16 examples.

    Its learning rate is zero, so that memories differ in nothing else.
    """
    task = dataclasses.replace(experiment.task, model=model)
    phases = (js.Phase(epochs=0.64, batch_size=16), js.Phase(epochs=0.48, batch_size=48))
    run = dataclasses.replace(
        experiment, task=task, phases=phases, optimizer=js.SGD(0.0), **changes
    )
    program = Program(run, run.task.data.load())
    state, sums = program.init(0), program.zero_sums()
    state, sums = program.update(state, sums, seed=0, step=0, count=4)
    before = jax.device_get(state.batch_stats)
    state, sums = program.update(state, sums, seed=0, step=4, count=1)
    return before, jax.device_get(state.batch_stats)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "momentum", "max_device_batch", "num_devices"),
    [
        (LinenModule(Own()), 0.7, None, 1),
        pytest.param(small(BatchNorm(momentum=0.7)), 0.7, None, 1, marks=pytest.mark.slow),
        pytest.param(small(BatchNorm(ghost=8)), 0.9, 16, 1, marks=pytest.mark.slow),
        pytest.param(small(BatchNorm(ghost=8)), 0.9, None, 4, marks=pytest.mark.slow),
    ],
)
def test_running_statistics_remember_examples_after_growth(
    experiment, model, momentum, max_device_batch, num_devices
):
    """After one update with three times the examples: m³ of the old, 1 − m³ of the batch's."""
    kept = {"max_device_batch": max_device_batch, "num_devices": num_devices}
    before, by_examples = grown(experiment, model, **kept)
    before_too, by_updates = grown(experiment, model, stats_memory="updates", **kept)
    # Until the batch grows there is no difference, to the last bit.
    jax.tree.map(np.testing.assert_array_equal, before, before_too)
    m = momentum

    def check(old, ours, theirs):
        batch = (np.float64(theirs) - m * np.float64(old)) / (1 - m)
        np.testing.assert_allclose(ours, m**3 * old + (1 - m**3) * batch, rtol=1e-4, atol=1e-5)

    jax.tree.map(check, before, by_examples, by_updates)
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), by_examples, by_updates)
    assert min(jax.tree.leaves(differences)) > 1e-4


def inputs_of_norms(experiment, dataset, params, batch_stats, images):
    """Captures the inputs of every batch norm in the network, for the batches of `images`."""
    layers = Layers(experiment.task.model.norm, jnp.float64, None, train=True)
    module = experiment.task.model.module(dataset.num_classes, layers)
    seen = {}

    def capture(next_function, args, kwargs, context):
        if isinstance(context.module, nn.BatchNorm) and context.method_name == "__call__":
            seen.setdefault(context.module.path, []).append(np.asarray(args[0]))
        return next_function(*args, **kwargs)

    variables = {"params": params, "batch_stats": batch_stats}
    for batch in images:
        with nn.intercept_methods(capture):
            module.apply(variables, batch, None, mutable=["batch_stats"])
    return {path: np.concatenate(parts) for path, parts in seen.items()}


@pytest.fixture(scope="module")
def averaging(experiment):
    """The small experiment with an average, whose statistics come from batches of 34 or 33."""
    optimizer = js.SGD(0.05, momentum=0.9, averaging=js.Averaging(start=1, statistics_examples=60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxsched.train.program.batch_stats.EVALUATION_BATCH", 40)
        patch.setattr("jaxsched.train.input_pipeline.place.EVALUATION_BATCH", 40)
        yield dataclasses.replace(
            experiment, optimizer=optimizer, phases=(js.Phase(epochs=2, batch_size=20),)
        )


def averaged(experiment, num_examples=100):
    """The last average of a run with its statistics, and the program."""
    program = Program(experiment, experiment.task.data.load())
    state = train(program, 0, on_evaluation=lambda row: None).state
    step = program.plan.total_steps

    params = program.averaged_params(state)
    variables = program.recompute_batch_stats(params, seed=0, step=step, num_examples=num_examples)
    return variables, program


@pytest.fixture(scope="module")
def on_one_device(averaging):
    return averaged(averaging)


@pytest.mark.slow
def test_statistics_are_those_of_the_whole_set_in_float64(averaging, on_one_device):
    """100 examples in batches of 34, 33 and 33, which normalise themselves as in training."""
    ours, program = on_one_device
    dataset, step = program.dataset, program.plan.total_steps
    epoch, place = program.plan.place_at(step)
    examples = np.asarray(program.order(0, epoch))[place : place + 100]
    # A seed's key for augmentation has number 2.
    keys = example_keys(jax.random.fold_in(jax.random.key(0), 2), np.full(100, epoch), examples)
    images = np.asarray(averaging.task.augment(jnp.asarray(dataset.train.images)[examples], keys))
    images = (images / 255.0 - np.array(dataset.mean)) / np.array(dataset.std)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda w: np.asarray(w, np.float64), ours["params"])
        batches = [jnp.asarray(part) for part in np.split(images, [34, 67])]
        seen = inputs_of_norms(averaging, dataset, params, ours["batch_stats"], batches)
    assert len(seen) == 3
    for path, x in seen.items():
        stats = ours["batch_stats"]
        for name in path:
            stats = stats[name]
        assert x.dtype == np.float64 and len(x) == 100
        np.testing.assert_allclose(stats["mean"], moments(x)["mean"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(stats["var"], moments(x)["var"], rtol=1e-4)


@pytest.mark.slow
def test_four_devices_re_estimate_as_one_does(averaging, on_one_device):
    """Four devices use batches of 36, 32 and 32, so the deeper statistics differ a little."""
    four, _ = averaged(dataclasses.replace(averaging, num_devices=4))
    four, one = jax.device_get((four, on_one_device[0]))
    assert float(relative_error(four["batch_stats"], one["batch_stats"])) < 0.05
    first = (four["batch_stats"]["stem_norm"], one["batch_stats"]["stem_norm"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *first)


@pytest.mark.slow
def test_a_network_without_batch_norm_has_nothing_to_re_estimate(averaging):
    grouped = averaging.with_task(model=CifarResNet(8, width=4, norm=GroupNorm()))
    ours, _ = averaged(grouped, num_examples=60)
    assert ours["batch_stats"] == {}
    assert float(relative_error({}, {})) == 0


def test_running_statistics_do_not_enter_and_nothing_is_dropped(draw_moments):
    """Moments depend on the weights and the images only."""
    model, variables, images = draw_moments
    other = {**variables, "batch_stats": jax.tree.map(lambda x: x + 5, variables["batch_stats"])}
    jax.tree.map(
        np.testing.assert_array_equal,
        model.batch_moments(variables, images),
        model.batch_moments(other, images),
    )


@pytest.fixture
def draw_moments():
    model = CifarResNet(depth=8, width=2, norm=BatchNorm(momentum=0.99)).build(4)
    variables = jax.jit(lambda key: model.init(key, (8, 8, 1)))(jax.random.key(0))
    return model, variables, jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
