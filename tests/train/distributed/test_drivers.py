"""The drivers compared with each other, and the proof that replicas cannot drift apart."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, ResNet
from jaxsched.tasks import ImageClassification, MetricSums
from jaxsched.train import Program, train
from jaxsched.train.distributed.driver import AXIS
from jaxsched.train.distributed.make_driver import check_divisible, make_driver
from jaxsched.train.step.micro_batches import Batch, MicroBatches
from jaxsched.train.step.state import init_state
from jaxsched.train.step.train_step import make_update


@pytest.mark.parametrize(
    ("driver", "num_devices"),
    [("jit", 4), ("pmap", 4), pytest.param("pmap", 1, marks=pytest.mark.slow)],
)
def test_every_driver_gives_the_run_of_one_device(experiment, program, driver, num_devices):
    rows, expected_rows = [], []
    expected = train(program, seed=2, on_evaluation=expected_rows.append)
    other = dataclasses.replace(experiment, driver=driver, num_devices=num_devices)
    ours = train(Program(other, program.dataset), seed=2, on_evaluation=rows.append)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=3e-5), ours.state, expected.state
    )
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert row.train_loss == pytest.approx(expected_row.train_loss, rel=1e-4)
        assert row.test_loss == pytest.approx(expected_row.test_loss, rel=1e-4)
        assert row.step == expected_row.step


@pytest.fixture(scope="module")
def update_on_four(experiment):
    """The update under shard_map, which proves when it traces that replicas stay the same."""
    mesh = Mesh(np.array(jax.devices()[:4]), (AXIS,))
    plan = experiment.plan(100)

    def make(axis_name, model_axis_name):
        task = built(experiment, model_axis_name)
        update = make_update(task, experiment.optimizer.transformation(plan), axis_name=axis_name)

        def on_part(state, batch):
            return update(state, MicroBatches.one(batch))

        return jax.jit(jax.shard_map(on_part, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P()))

    return make


def draw_batch(size):
    keys = jax.random.split(jax.random.key(1), size)
    images = jax.random.normal(jax.random.key(2), (size, 8, 8, 3))
    return Batch((images, jnp.arange(size) % 4), keys)


def built(experiment, axis_name=None):
    return experiment.task.build(experiment.task.data.load(), axis_name=axis_name)


def draw_state(experiment):
    task, tx = built(experiment), experiment.optimizer.transformation(experiment.plan(100))
    return jax.jit(lambda key: init_state(task.init(key), tx))(jax.random.key(0))


@pytest.mark.slow
def test_shard_map_proves_that_replicas_stay_equal(experiment, update_on_four):
    state, batch = draw_state(experiment), draw_batch(16)
    ours, sums = update_on_four(AXIS, AXIS)(state, batch)
    tx = experiment.optimizer.transformation(experiment.plan(100))
    update = make_update(built(experiment), tx)
    alone, sums_alone = jax.jit(lambda s, b: update(s, MicroBatches.one(b)))(state, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, alone)
    assert sums.metrics.loss == pytest.approx(float(sums_alone.metrics.loss), rel=1e-5)
    assert int(sums.metrics.others["correct"]) == int(sums_alone.metrics.others["correct"])
    assert int(sums.metrics.count) == 16


@pytest.mark.parametrize(
    ("axis_name", "model_axis_name"),
    [(None, AXIS), (AXIS, None)],
    ids=["gradients not reduced", "batch statistics not reduced"],
)
def test_the_proof_fails_for_replicas_that_drift(
    experiment, update_on_four, axis_name, model_axis_name
):
    with pytest.raises(Exception, match=r"manual axis types|replicated"):
        update_on_four(axis_name, model_axis_name)(draw_state(experiment), draw_batch(16))


def test_sums_add_up_over_batches_and_leave_out_examples_that_do_not_count():
    losses, right = jnp.array([0.5, 0.25, 4.0]), jnp.array([True, False, False])
    found = {"correct": right, "tokens": jnp.array([7, 8, 9], jnp.uint8)}
    counts = jnp.array([True, True, False])
    total = MetricSums.of(losses, **found) + MetricSums.of(losses, counts, **found)
    none = MetricSums.zero(correct=jnp.int32, tokens=jnp.int32)
    assert jax.tree.map(jnp.shape, none) == jax.tree.map(jnp.shape, total)
    assert float(total.loss) == 5.5 and total.mean_loss == 1.1 and int(total.count) == 5
    assert {name: int(value) for name, value in total.others.items()} == {
        "correct": 2,
        "tokens": 39,
    }


def test_a_batch_that_does_not_divide_is_refused_with_sizes_that_divide():
    check_divisible((96, 104), 8)
    with pytest.raises(ValueError, match=r"batch_size=100, devices=8; use 96 or 104\."):
        check_divisible((96, 100), 8)
    with pytest.raises(ValueError, match=r"batch_size=3, devices=8; use 8\."):
        check_divisible((3,), 8)
    check_divisible((96, 192), 4, group=32)
    with pytest.raises(ValueError, match=r"batch_size=80, ghost=32; use 64 or 96\."):
        check_divisible((80,), 4, group=32)


def test_more_devices_than_exist_are_refused():
    with pytest.raises(ValueError, match=r"within 1 … 4, .* got num_devices=5"):
        make_driver("jit", 5)


def test_a_cpu_is_split_no_further_than_batches_allow():
    driver = make_driver("jit", batch_sizes=(800, 992), places=1024, fits=lambda n: n < 3)
    assert len(driver.devices) == 2


@pytest.mark.parametrize(
    ("batch_size", "changes", "num_devices"),
    [
        (128, {}, 4),  # a group of 64 may be of two devices
        (256, {"max_device_batch": 64}, 4),
        (384, {"max_device_batch": 64}, 3),  # 96 a device would be a group and a half
        (96, {}, None),
        (256, {"optimizer": js.SGD(0.1, noise=js.NoiseEstimate())}, 2),  # two groups a device
    ],
)
@pytest.mark.slow
def test_a_cpu_is_split_between_groups_normalised_together(batch_size, changes, num_devices):
    experiment = Experiment(
        name="groups",
        task=ImageClassification(
            model=ResNet(stages=(1,), width=2, norm=BatchNorm(ghost=64)),
            data=Synthetic(num_train=512, num_test=16, image_size=32),
        ),
        phases=(js.Phase(1, batch_size),),
        **{"optimizer": js.SGD(0.1), **changes},
    )
    if num_devices is None:
        with pytest.raises(ValueError, match="ghost=64; use 64 or 128"):
            Program(experiment, experiment.task.data.load())
    else:
        assert len(Program(experiment, experiment.task.data.load()).driver.devices) == num_devices


@pytest.mark.parametrize(
    ("batch_sizes", "side", "num_devices"),
    [
        ((128,), 32, 4),
        ((64, 128), 32, 2),  # the smallest batch decides
        ((32,), 32, 1),
        ((96, 160), 32, 2),  # 3 do not divide 160
        ((99,), 32, 3),
        ((128,), 8, 1),  # digits are too small to be worth splitting
        ((16,), 224, 4),
        ((6,), 224, 3),
    ],
)
def test_a_cpu_is_split_where_that_is_faster(batch_sizes, side, num_devices):
    driver = make_driver("jit", batch_sizes=batch_sizes, places=side * side)
    assert len(driver.devices) == num_devices
