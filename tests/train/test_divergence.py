"""A run ends where its numbers are no longer finite, by the same rule wherever it is made."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Streamed
from jaxsched.tracking import record_run
from jaxsched.train import Evaluation, Member, MembersDriver, Population, Program, RunState, train
from jaxsched.transforms import AverageParamsState
from jaxsched.tune.execution.lockstep import LockstepRuns

REASON = "diverged at update 1: the squared norm of the weights after it is not finite"


@pytest.fixture(scope="module")
def hot(experiment):
    """Its last layer grows to 1e20 at the second update, of which the loss is large but finite."""
    return dataclasses.replace(
        experiment,
        phases=(js.Phase(epochs=1, batch_size=20),),
        optimizer=js.SGD(
            js.MultiStep(0.1, milestones=("1 updates",), factor=1e21),
            lr_factors=(("stem*", 0.0), ("stage*", 0.0)),
        ),
        evaluate_every=0.2,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        *(
            pytest.param(changes, marks=pytest.mark.slow)
            for changes in (
                {"driver": "jit", "num_devices": 4},
                {"driver": "pmap", "num_devices": 2},
                {"data": "streamed"},
            )
        ),
    ],
    ids=str,
)
def test_a_norm_that_overflows_ends_the_run(hot, changes):
    if changes.pop("data", ""):
        hot = hot.with_task(data=Streamed(hot.task.data))
    hot, rows = dataclasses.replace(hot, **changes), []
    outcome = train(Program(hot, hot.task.data.load()), 0, on_evaluation=rows.append)
    assert (outcome.status, outcome.reason) == ("diverged", REASON)
    assert [row.step for row in outcome.rows] == [1] == [row.step for row in rows]
    # Neither loss is what ended it.
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(outcome.state.params))
    assert 1e19 < largest < math.inf


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "per_device"), [(1, 2), (2, 1)])
def test_it_ends_a_member_beside_others(hot, devices, per_device):
    lr = js.MultiStep(0.1, milestones=("1 updates",), factor=0.9)
    sound = dataclasses.replace(hot, optimizer=dataclasses.replace(hot.optimizer, lr=lr))
    members, dataset = [Member(hot, 0), Member(sound, 0)], hot.task.data.load()
    driver = MembersDriver(jax.devices()[:devices], per_device)
    runs = LockstepRuns(Population(members, dataset, driver), members, marks=(1, 2, 3))
    steps = [sorted(rows) for rows in runs.rows(lambda examples: None)]
    assert runs.diverged == {0: REASON}
    assert steps == [[0, 1], [1], [1]]


@pytest.mark.slow
def test_an_average_that_is_not_finite_is_told_and_the_run_goes_on(experiment, tmp_path):
    averaging = dataclasses.replace(experiment.optimizer, averaging=js.Averaging(start=0.5))
    averaging = dataclasses.replace(experiment, optimizer=averaging)
    program = Program(averaging, averaging.task.data.load())

    def spoilt(node):
        if not isinstance(node, AverageParamsState):
            return node
        return node._replace(mean=jax.tree.map(lambda leaf: leaf * np.nan, node.mean))

    first = RunState.first(program, 0)
    state = jax.tree.map(
        spoilt, first.state, is_leaf=lambda node: isinstance(node, AverageParamsState)
    )
    path = tmp_path / "a.jsonl"
    outcome = record_run(
        program,
        0,
        path,
        source_text="",
        on_evaluation=lambda row: None,
        on_examples=lambda examples: None,
        start=first._replace(state=state),
    )
    assert outcome.status == "finished"
    assert [math.isfinite(row.test_loss) for row in outcome.rows] == [True] * 3
    lines = path.read_text().splitlines()
    _, *rows, end = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [row["averaged_test_loss"] for row in rows] == ["nan"] * 3
    assert end["average_on_all"]["test_loss"] == "nan"
    # A resumed run reads its rows back as numbers.
    again = Evaluation.from_json(outcome.rows[-1].as_json())
    assert math.isnan(again.averaged_test_loss) and again.test_loss == outcome.rows[-1].test_loss
