"""The values of every update, compared with the chain that uses them and with committed records."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsched as js
from jaxsched.bench import Results
from jaxsched.bench.report.page.in_force import in_force
from jaxsched.experiment import describe
from jaxsched.tracking import Record

RESULTS = Path(__file__).parents[4] / "experiments" / "results"
COLUMNS = {"learning_rate", "momentum", "weight_decay", "batch_size"}


@pytest.mark.parametrize(
    "study", ["abel_rates", "batch_growth", "language_abel", "lr_schedulers", "speedrun"]
)
def test_the_committed_records_hold_the_computed_values(study):
    """Schedules of SGD and Adam, phases, ABEL's decays, and batches that a run grew itself."""
    records = Results.read([RESULTS / study]).records
    for run in {record.name: record for record in records}.values():
        found = in_force(run)
        assert found is not None and found.values.keys() == COLUMNS, run.name
        for row in run.evaluations:
            for column in COLUMNS:
                value = found.values[column][row["step"] - 1]
                assert value == pytest.approx(row[column], rel=1e-3, abs=1e-6), (run.name, column)
            assert found.times["examples"][row["step"]] == row["examples"]
            assert found.times["epoch"][row["step"]] == pytest.approx(row["epoch"])


def run_of(optimizer, plan, marks, norms, losses):
    """A record with the marks' rows, and the learning rate of every update, of a real chain.

    Args:
        marks: the evaluations' update counts.
        norms: the weight at each update, by which ABEL decays.
        losses: what plateau observes after each mark.
    """
    examples = [plan.examples_at(step) for step in marks]
    tx = optimizer.transformation(plan, examples)
    update = jax.jit(
        lambda state, weight, value: tx.update(jnp.ones(()), state, weight, value=value)[1]
    )
    state, rates, rows, loss = tx.init(jnp.ones(())), [], [], jnp.inf
    for step in range(plan.total_steps):
        state = update(state, jnp.float32(norms[step]), jnp.float32(loss))
        used = {name: float(value) for name, value in js.hyperparams(state).items()}
        rates.append(used["learning_rate"] * used["abel_scale"] * used["plateau_scale"])
        if step + 1 in marks:
            loss = losses[len(rows)]
            rows.append({
                "step": step + 1, "examples": plan.examples_at(step + 1),
                "epoch": plan.examples_at(step + 1) / plan.num_examples, "batch_size": 10,
                "train_seconds": 2.0 * (step + 1), "learning_rate": rates[-1],
                "momentum": used["momentum"], "weight_decay": used["weight_decay"],
                "abel": {"scale": used["abel_scale"]}, "plateau": {"scale": used["plateau_scale"]},
            })  # fmt: skip
    config = {"optimizer": describe(optimizer), "phases": describe(plan.phases)}
    return Record({"name": "a", "config": config}, tuple(rows), {"status": "finished"}), rates


OPTIMIZER = js.SGD(
    js.Warmup(js.MultiStep(0.1, (3, 6)), duration=1),
    momentum=js.Linear(0.8, 0.9, 8),
    weight_decay=1e-3,
    abel=js.Abel(decay_factor=0.5, last_decay="85%"),
    plateau=js.Plateau("test_loss", factor=0.3, patience=0),
)
PLAN = js.Plan((js.Phase(8, 10),), num_examples=100)
# |w|² of each epoch: falls, turns, and falls again.
NORMS = np.repeat([9.0, 7.0, 8.0, 7.5, 7.0, 8.0, 7.8, 7.6], 10)


def test_decays_between_evaluations_are_at_the_updates_that_decided_them():
    marks = [10, 20, 30, 40, 50, 60, 70, 80]
    run, rates = run_of(OPTIMIZER, PLAN, marks, NORMS, [9, 8, 7, 8, 6, 5, 6, 5])
    found = in_force(run)
    assert found is not None and found.values.keys() == COLUMNS
    np.testing.assert_allclose(found.values["learning_rate"], rates, rtol=1e-5)
    assert len(set(np.round(np.diff(np.log(rates[10:])), 3))) >= 4  # decays of several kinds
    np.testing.assert_allclose(found.times["train_seconds"], 2.0 * np.arange(81))


def test_a_decay_that_several_updates_may_have_decided_is_just_before_its_evaluation():
    run, rates = run_of(OPTIMIZER, PLAN, [40, 80], NORMS, [9, 9])
    found = in_force(run)
    assert found is not None
    differ = np.flatnonzero(~np.isclose(found.values["learning_rate"], rates, rtol=1e-5))
    # ABEL decayed at the start of epoch 5. That it decayed at 68, 85 %, is known.
    assert differ.tolist() == list(range(50, 79))


def test_values_that_the_records_contradict_are_left_out():
    run, _ = run_of(OPTIMIZER, PLAN, [40, 80], NORMS, [9, 9])
    rows = [{**row, "momentum": 0.5} for row in run.evaluations]
    found = in_force(Record(run.header, tuple(rows), run.end))
    assert found is not None and found.values.keys() == COLUMNS - {"momentum"}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"optimizer": "adam", "phases": []},
        {"optimizer": {"type": "Unknown"}, "phases": [{"epochs": 1, "batch_size": 10}]},
        {"optimizer": describe(OPTIMIZER), "phases": [{"epochs": 1e300, "batch_size": -1}]},
        {"optimizer": describe(OPTIMIZER), "phases": "none"},
    ],
)
def test_a_config_of_another_kind_has_no_values(config):
    run, _ = run_of(OPTIMIZER, PLAN, [80], NORMS, [9])
    assert in_force(Record({"name": "a", "config": config}, run.evaluations, {})) is None
    assert in_force(Record({"name": "a", "config": config}, (), {})) is None
