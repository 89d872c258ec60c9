"""Micro-batches: the same run as with whole batches, in less memory; and the gradient noise."""

import dataclasses

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxsched as js
from jaxsched.data import Augment, Synthetic, example_keys, normalise
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, GroupNorm, ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.train import Program, train
from jaxsched.train.distributed.driver import AXIS
from jaxsched.train.step.micro_batches import Batch, MicroBatches, num_micro_batches
from jaxsched.train.step.state import init_state
from jaxsched.train.step.train_step import make_update

GHOST = 4


@pytest.fixture(scope="module")
def whole():
    """An experiment with batches of 16 examples, which are four groups of four."""
    return Experiment(
        name="whole",
        task=ImageClassification(
            model=ResNet(stages=(1,), width=2, norm=BatchNorm(ghost=GHOST)),
            data=Synthetic(num_train=96, num_test=32, num_classes=4),
            augment=Augment(pad=1, flip=True),
        ),
        phases=(js.Phase(epochs=1, batch_size=16),),
        optimizer=js.SGD(0.1, momentum=0.9, weight_decay=1e-3),
        num_devices=1,
    )


def run(experiment):
    rows = []
    program = Program(experiment, experiment.task.data.load())
    return program, train(program, 0, on_evaluation=rows.append).state, rows


@pytest.fixture(scope="module")
def expected(whole):
    return run(whole)


def assert_same_run(state, rows, expected):
    _, expected_state, expected_rows = expected
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=3e-5), state, expected_state)
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert row.train_loss == pytest.approx(expected_row.train_loss, rel=1e-4)
        assert row.train_accuracy == expected_row.train_accuracy
        assert row.test_loss == pytest.approx(expected_row.test_loss, rel=1e-4)


@pytest.mark.parametrize(
    ("driver", "num_devices", "most"),
    [("jit", 2, 4), ("pmap", 2, 7), pytest.param("pmap", 4, None, marks=pytest.mark.slow)],
)
def test_micro_batches_and_devices_leave_a_run_as_it_is(whole, expected, driver, num_devices, most):
    """With at most 7 examples at a time, a micro-batch has 4: one whole group."""
    changes = {"driver": driver, "num_devices": num_devices, "max_device_batch": most}
    program, state, rows = run(dataclasses.replace(whole, **changes))
    assert len(program.driver.devices) == num_devices
    assert_same_run(state, rows, expected)


@pytest.mark.slow
def test_a_norm_of_single_examples_takes_any_micro_batch(whole):
    alone = whole.with_task(model=ResNet(stages=(1,), width=4, norm=GroupNorm()))
    _, state, rows = run(dataclasses.replace(alone, max_device_batch=2))
    assert_same_run(state, rows, run(alone))


@pytest.mark.slow
def test_fewer_examples_at_a_time_need_less_memory(whole, expected):
    smaller = dataclasses.replace(whole, max_device_batch=GHOST)
    program = Program(smaller, smaller.task.data.load())
    assert program.update_memory(96) < 0.6 * expected[0].update_memory(96)


@pytest.mark.slow
def test_shard_map_proves_that_replicas_stay_equal_over_micro_batches(whole):
    mesh, plan = Mesh(np.array(jax.devices()[:2]), (AXIS,)), whole.plan(96)
    data, tx = whole.task.data.load(), whole.optimizer.transformation(plan)
    update = make_update(whole.task.build(data, axis_name=AXIS), tx, axis_name=AXIS)

    def on_part(state, batch):
        halves = jax.tree.map(lambda rows: rows.reshape(2, -1, *rows.shape[1:]), batch)
        return update(state, MicroBatches(lambda i: jax.tree.map(lambda r: r[i], halves), 2))

    mapped = jax.shard_map(on_part, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P())
    batch = Batch(
        (jax.random.normal(jax.random.key(2), (16, 8, 8, 3)), jnp.arange(16) % 4),
        jax.random.split(jax.random.key(1), 16),
    )
    alone = whole.task.build(data)
    state = jax.jit(lambda key: init_state(alone.init(key), tx))(jax.random.key(0))
    ours, _ = jax.jit(mapped)(state, batch)
    whole_update = make_update(alone, tx)
    expected, _ = jax.jit(lambda s, b: whole_update(s, MicroBatches.one(b)))(state, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, expected)


def squared_norms_by_hand(program, size):
    """|G|² of the first batch and its mean over the parts, from gradients of a plain loss."""
    experiment, dataset, state = program.experiment, program.dataset, program.init(0)
    model = experiment.task.model.build(dataset.num_classes)
    order = np.asarray(program.order(0, 0))[:16]
    keys = example_keys(
        jax.random.fold_in(jax.random.key(0), 2), jnp.zeros(16, jnp.int32), jnp.asarray(order)
    )
    images = experiment.task.augment(jnp.asarray(dataset.train.images)[order], keys)
    images = normalise(images, dataset.mean, dataset.std, jnp.float32)
    labels = jnp.asarray(dataset.train.labels)[order]

    @jax.jit
    def gradient(images, labels, keys):
        def loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, _ = model.train_logits(variables, images, keys)
            picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
            return -picked.mean()

        return jax.flatten_util.ravel_pytree(jax.grad(loss)(state.params))[0]

    parts = (slice(i, i + size) for i in range(0, 16, size))
    slopes = [np.asarray(gradient(images[p], labels[p], keys[p]), np.float64) for p in parts]
    return np.sum(np.mean(slopes, axis=0) ** 2), np.mean([np.sum(g**2) for g in slopes])


@pytest.mark.parametrize(
    ("driver", "num_devices", "most", "small"),
    [
        pytest.param("jit", 1, None, 8, marks=pytest.mark.slow),
        pytest.param("pmap", 2, None, 8, marks=pytest.mark.slow),
        ("pmap", 2, 4, 4),
    ],
)
@pytest.mark.slow
def test_the_noise_is_that_of_micro_batches_and_devices(whole, driver, num_devices, most, small):
    """One update against gradients computed by hand; a whole batch is cut in two for it."""
    experiment = dataclasses.replace(
        whole,
        optimizer=js.SGD(0.0, noise=js.NoiseEstimate()),
        phases=(js.Phase(16 / 96, 16),),
        driver=driver,
        num_devices=num_devices,
        max_device_batch=most,
    )
    program, _, rows = run(experiment)
    big_squared, small_squared = squared_norms_by_hand(program, small)
    variance = (small_squared - big_squared) / (1 / small - 1 / 16)
    assert rows[-1].noise["variance"] == pytest.approx(variance, rel=1e-3)
    squared_norm = (16 * big_squared - small * small_squared) / (16 - small)
    assert rows[-1].noise["squared_norm"] == pytest.approx(squared_norm, rel=1e-3)


@pytest.mark.parametrize(
    ("part", "options", "count"),
    [
        (128, {}, 1),
        (128, {"most": 128}, 1),
        (1280, {"most": 128, "group": 128}, 10),
        (1280, {"most": 300, "group": 128}, 5),
        (96, {"most": 40, "group": 1}, 3),
        (96, {"group": 1, "least": 2}, 2),
        (96, {"group": 32, "least": 2}, 3),  # two halves would not be whole groups
    ],
)
def test_as_few_micro_batches_as_possible(part, options, count):
    assert num_micro_batches(part, **options) == count


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        (256, {"most": 128}, r"batch norm looks at all of it .256 examples a device.*ghost"),
        (
            256,
            {"most": 100, "group": 128},
            "of the 128 that .*; use max_device_batch=128 or more",
        ),
        (16, {"most": 8, "group": 32}, "at most 8, .*; use other batch sizes .multiples of 32 a"),
        (32, {"group": 32, "least": 2}, "multiples of 64 a device"),
    ],
)
def test_batches_that_cannot_be_cut_are_refused_with_sizes_that_can(part, options, message):
    with pytest.raises(ValueError, match=message):
        num_micro_batches(part, **options)
