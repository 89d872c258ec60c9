"""A task of one's own: the trainer knows it through the seam alone."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Dataset, Examples, Source, Streamed, epoch_order
from jaxsched.experiment import Experiment, describe, with_value
from jaxsched.tasks import LOSS, Metric, MetricSums, Task, TaskFunctions
from jaxsched.train import (
    CheckpointPolicy,
    Checkpoints,
    Member,
    MembersDriver,
    Population,
    Program,
    SignalHandler,
    load_run,
    train,
)
from jaxsched.train.rng import random_key

ROWS, FEATURES, BATCH = 60, 3, 12


class Table(Examples):
    """Rows of three features and one value."""

    def __init__(self, features, values):
        self.arrays_ = (features, values)

    @property
    def arrays(self):
        return self.arrays_


@dataclass(frozen=True)
class Plane(Source):
    """Points near a plane."""

    noise: float = 0.1

    def load(self):
        random = np.random.default_rng(0)
        splits = []
        for _ in range(2):
            x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
            y = x @ np.array([1.0, -2.0, 0.5]) + self.noise * random.normal(size=ROWS)
            splits.append(Table(x, y.astype(np.float32)))
        return Dataset("plane", *splits, "test")


@dataclass(frozen=True)
class LeastSquares(Task):
    """Half the mean square; also measures the share of the errors that are small."""

    data: Source = Plane()
    small: float = 0.5

    @property
    def metrics(self):
        return LOSS, Metric("near", better="higher", is_share=True)

    def build(self, dataset, *, dtype=jnp.float32, axis_name=None):
        def errors(variables, inputs):
            features, values = inputs
            return features @ variables["params"]["plane"]["kernel"] - values

        def sums(variables, inputs, counts=None):
            found = errors(variables, inputs)
            return MetricSums.of(jnp.square(found) / 2, counts, near=jnp.abs(found) < self.small)

        def train_loss(variables, inputs, keys):
            found = sums(variables, inputs)
            return found.loss / inputs[1].shape[0], ({}, found)

        zeros = {"params": {"plane": {"kernel": jnp.zeros(FEATURES)}}, "batch_stats": {}}
        return TaskFunctions(
            init=lambda key: zeros,
            training_inputs=lambda arrays, keys: arrays,
            evaluation_inputs=lambda arrays: arrays,
            train_loss=train_loss,
            zero_sums=lambda: MetricSums.zero(near=jnp.int32),
            evaluate=sums,
            batch_moments=lambda variables, inputs: {},
            predict=lambda variables, inputs: errors(variables, inputs) + inputs[1],
            targets=lambda inputs: inputs[1],
            metric_values=lambda sums: {
                "loss": sums.mean_loss,
                "near": sums.others["near"] / sums.count,
            },
        )


EXPERIMENT = Experiment(
    name="plane",
    task=LeastSquares(),
    phases=(js.Phase(epochs=4, batch_size=BATCH),),
    optimizer=js.SGD(js.Cosine(0.2, duration="100%"), momentum=0.5),
    num_devices=1,
)


def by_hand():
    """The weights and the losses of each epoch, in float64 NumPy."""
    dataset = Plane().load()
    x, y = (np.float64(array) for array in dataset.train.arrays)
    weights, velocity, losses = np.zeros(FEATURES), np.zeros(FEATURES), []
    for step in range(20):
        epoch, place = divmod(step, ROWS // BATCH)
        order = np.asarray(epoch_order(random_key(3, "order"), epoch, ROWS))
        rows = order[place * BATCH : (place + 1) * BATCH]
        errors = x[rows] @ weights - y[rows]
        losses.append(np.mean(errors**2) / 2)
        velocity = 0.5 * velocity + x[rows].T @ errors / BATCH
        weights = weights - 0.1 * (1 + np.cos(np.pi * step / 20)) * velocity
    test_x, test_y = dataset.test.arrays
    final = np.abs(test_x @ weights - test_y)
    means = np.reshape(losses, (4, 5)).mean(axis=1)
    return weights, means, np.mean(final**2) / 2, np.mean(final < 0.5)


def run(experiment, seed=3):
    rows = []
    program = Program(experiment, experiment.task.data.load())
    return program, train(program, seed, on_evaluation=rows.append), rows


def test_a_run_is_that_of_numpy():
    program, outcome, rows = run(EXPERIMENT)
    weights, train_losses, test_loss, near = by_hand()
    found = outcome.state.params["plane"]["kernel"]
    np.testing.assert_allclose(found, weights, rtol=1e-5)
    np.testing.assert_allclose([row.train_loss for row in rows], train_losses, rtol=1e-5)
    assert rows[-1].test_loss == pytest.approx(test_loss, rel=1e-5)
    assert rows[-1].test_near == pytest.approx(near)
    assert rows[-1].as_json()["test_near"] == rows[-1].test_near
    prediction = program.predict(outcome.state.variables)
    np.testing.assert_allclose(prediction.outputs, program.dataset.test.arrays[0] @ found, 1e-5)
    np.testing.assert_array_equal(prediction.targets, program.dataset.test.arrays[1])
    with pytest.raises(AttributeError, match=r"one of \['train_loss', .* got 'test_accuracy'"):
        _ = rows[-1].test_accuracy


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"num_devices": 4},
        {"num_devices": 4, "driver": "pmap"},
        {"max_device_batch": 4},
        {"task": LeastSquares(Streamed(Plane()))},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_it_is_the_same_however_it_is_executed(changes):
    _, _, expected = run(EXPERIMENT)
    _, _, rows = run(dataclasses.replace(EXPERIMENT, **changes))
    for row, one in zip(rows, expected, strict=True):
        assert row.test_loss == pytest.approx(one.test_loss, rel=1e-5)
        assert row.train_near == one.train_near


def test_members_of_a_population_are_runs_alone():
    members = [Member(EXPERIMENT, seed) for seed in (3, 4)]
    driver = MembersDriver(jax.devices()[:1], per_device=2)
    runs = Population(members, Plane().load(), driver).start(members)
    runs.advance(20)
    losses = runs.trace().losses.reshape(2, 4, 5).mean(axis=2)
    np.testing.assert_allclose(losses[0], by_hand()[1], rtol=1e-5)


def test_plateau_observes_any_metric_of_the_task():
    def watching(*arguments, **settings):
        plateau = js.Plateau(*arguments, patience=0, **settings)
        return dataclasses.replace(EXPERIMENT, optimizer=js.SGD(0.1, plateau=plateau))

    with pytest.raises(ValueError, match=r"one of \['test_loss', 'test_near', .*'test_accuracy'"):
        watching("test_accuracy")
    with pytest.raises(ValueError, match=r'higher values are better; write .*better="higher"'):
        watching("test_near")
    _, _, rows = run(watching("test_near", better="higher"))
    best = [max(row.test_near for row in rows[:n]) for n in range(1, len(rows))]
    gained = [row.test_near > before for row, before in zip(rows[1:], best, strict=True)]
    # A decay is in force from the evaluation after the one that was no better.
    assert rows[-1].plateau["scale"] == pytest.approx(0.1 ** (len(gained[:-1]) - sum(gained[:-1])))


def test_its_fields_stand_beside_those_of_the_experiment():
    content = describe(EXPERIMENT)
    assert (content["task"], content["small"]) == ("LeastSquares", 0.5)
    assert content["data"] == {"type": "Plane", "noise": 0.1}
    changed = with_value(EXPERIMENT, "data.noise", 0.5)
    assert changed.task == LeastSquares(Plane(0.5)) and changed.digest() != EXPERIMENT.digest()
    assert EXPERIMENT.with_task(small=1.0).task.small == 1.0


def test_it_is_loaded_and_predicts(tmp_path):
    """Its outputs for features alone are those of the trained plane."""
    program = Program(EXPERIMENT, Plane().load())
    with Checkpoints(tmp_path / "run") as checkpoints:
        policy = CheckpointPolicy(lambda: checkpoints, program, 0, SignalHandler(), save_last=True)
        row = train(program, 0, on_evaluation=lambda row: None, checkpoint_policy=policy).rows[-1]
    loaded, (x, y) = load_run(tmp_path / "run", "best"), program.dataset.test.arrays
    assert loaded.experiment == EXPERIMENT and loaded.metrics == row.metrics
    outputs = loaded.predict(x)
    np.testing.assert_allclose(
        outputs, x @ loaded.variables["params"]["plane"]["kernel"], rtol=1e-5
    )
    assert row.test_near == np.mean(np.abs(outputs - y) < 0.5)
    with pytest.raises(ValueError, match=r"float32\[N, 3\] and float32\[N\], got float64\[60, 3\]"):
        loaded.predict(np.float64(x))
