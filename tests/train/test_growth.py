"""Batches that grow during a run: the rule's decisions, the noise scale they keep, resuming."""

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.models import BatchNorm, ResNet
from jaxsched.train import CheckpointPolicy, Checkpoints, Program, RunState, SignalHandler, train
from jaxsched.train.checkpointing.run_state import plan_so_far

# No evaluation is nine tenths better than the best: plateau decays after each but the first.
PLATEAU = js.Plateau(factor=0.5, patience=0, threshold=0.9)
LR, FIRST, NUM_EXAMPLES = 0.05, 8, 100


@pytest.fixture(scope="module")
def growing(experiment):
    return dataclasses.replace(
        experiment,
        phases=(js.Phase(epochs=6, batch_size=FIRST),),
        optimizer=js.SGD(LR, momentum=0.9, plateau=PLATEAU),
        batch_growth=js.GrowOnDecay(max_batch_size=24),
    )


@pytest.fixture(scope="module")
def grown(growing):
    program, rows = Program(growing, growing.task.data.load()), []
    return program, train(program, seed=1, on_evaluation=rows.append), rows


def test_the_batch_grows_where_plateau_would_decay_up_to_the_cap(grown):
    """A decay decided at evaluation k + 1 makes the batch larger before evaluation k + 2."""
    _, outcome, rows = grown
    assert [row.batch_size for row in rows] == [8, 8, 8, 16, 24, 24]
    scales = [1, 1, 0.5, 0.25, 0.125, 0.0625]
    assert [row.plateau["scale"] for row in rows] == scales
    assert [phase.batch_size for phase in outcome.plan.phases] == [8, 16, 24]
    assert outcome.plan.total_epochs == 6
    assert outcome.state.step == outcome.plan.total_steps == rows[-1].step


def test_growing_keeps_the_noise_scale_of_the_decays(grown):
    """lr N / (B (1 − m)) at every evaluation, both below the cap and at it."""
    _, _, rows = grown
    for row in rows:
        g = row.learning_rate / row.batch_size
        assert g == pytest.approx(LR * row.plateau["scale"] / FIRST, rel=1e-6)


@pytest.mark.slow
def test_a_run_that_grew_equals_the_same_phases_and_learning_rates_fixed_beforehand(growing, grown):
    _, outcome, rows = grown
    plan = outcome.plan
    starts = [0, *(row.step for row in rows[:-1])]
    sizes = [plan.batch_size_at(step) for step in starts]
    scales = [1, *(0.5 ** max(0, n - 1) for n in range(1, len(rows)))]
    parts = [js.Constant(LR * s * b / FIRST) for s, b in zip(scales, sizes, strict=True)]
    boundaries = tuple(float(plan.epoch_at(step)) for step in starts[1:])
    fixed = dataclasses.replace(
        growing,
        phases=plan.phases,
        optimizer=js.SGD(js.Sequence(tuple(parts), boundaries), momentum=0.9),
        batch_growth=None,
    )
    expected_rows = []
    expected = train(
        Program(fixed, growing.task.data.load()), 1, on_evaluation=expected_rows.append
    )
    assert [row.step for row in rows] == [row.step for row in expected_rows]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        outcome.state.variables,
        expected.state.variables,
    )


def test_each_batch_size_is_compiled_once_for_any_number_of_runs(grown):
    program, outcome, _ = grown
    assert program.batch_sizes == (8, 16, 24)
    again = train(program, seed=1, on_evaluation=lambda row: None)
    assert [c.batch_size for c in program.compilations] == [8, 16, 24]
    jax.tree.map(np.testing.assert_array_equal, again.state, outcome.state)


class CutError(Exception):
    pass


@pytest.mark.parametrize("cut_at", [3, 5], ids=["before it grew", "after it grew twice"])
@pytest.mark.slow
def test_an_interrupted_run_resumes_at_the_size_it_had_grown_to(grown, tmp_path, cut_at):
    program, expected, expected_rows = grown
    rows = []

    def cut(row):
        rows.append(row)
        if len(rows) == cut_at:
            raise CutError

    with Checkpoints(tmp_path) as checkpoints, SignalHandler() as signals:
        policy = CheckpointPolicy(lambda: checkpoints, program, 1, signals, every_seconds=0)
        with pytest.raises(CutError):
            train(program, 1, on_evaluation=cut, checkpoint_policy=policy)
        snapshot = checkpoints.restore(RunState.first(program, 0).arrays)
    start = RunState.of(snapshot, program)
    assert 0 < start.step < expected.plan.total_steps
    rows = list(start.rows)
    outcome = train(program, 1, on_evaluation=rows.append, start=start)
    assert outcome.plan == expected.plan
    jax.tree.map(np.testing.assert_array_equal, outcome.state, expected.state)
    assert [row.test_loss for row in rows] == [row.test_loss for row in expected_rows]


def test_a_longer_run_resumes_from_the_phases_of_a_shorter_one(growing):
    longer = dataclasses.replace(growing, phases=(js.Phase(epochs=9, batch_size=FIRST),))
    plan = plan_so_far(longer, longer.plan(NUM_EXAMPLES), {"phases": [(3.04, 8), (2.96, 16)]})
    assert plan.phases == (js.Phase(3.04, 8), js.Phase(9 - 3.04, 16))
    fixed = dataclasses.replace(longer, batch_growth=None)
    assert plan_so_far(fixed, fixed.plan(NUM_EXAMPLES), {}) == fixed.plan(NUM_EXAMPLES)


@pytest.mark.slow
def test_abel_grows_the_batch_instead_of_decaying(growing):
    """A large learning rate and weight decay make the norm bounce; the batch then doubles."""
    optimizer = js.SGD(0.3, momentum=0.9, weight_decay=0.02, abel=js.Abel(0.5, last_decay="50%"))
    experiment = dataclasses.replace(growing, optimizer=optimizer)
    rows = []
    train(Program(experiment, experiment.task.data.load()), 0, on_evaluation=rows.append)
    assert rows[-1].batch_size > FIRST
    for row in rows:
        g = row.learning_rate / row.batch_size
        assert g == pytest.approx(0.3 * row.abel["scale"] / FIRST, rel=1e-6)
    # The last decay is at 3 epochs, although fewer updates lead there now.
    scales = {round(row.epoch): row.abel["scale"] for row in rows}
    assert scales[4] <= scales[3] / 2


@pytest.mark.slow
def test_the_batch_grows_with_the_gradient_noise(growing):
    """The batch sizes are those of the rule, applied to the noise in the rows."""
    experiment = dataclasses.replace(
        growing.with_task(model=ResNet(stages=(1,), width=2, norm=BatchNorm(ghost=4))),
        optimizer=js.SGD(LR, momentum=0.9, noise=js.NoiseEstimate(0.9)),
        phases=(js.Phase(epochs=3, batch_size=FIRST),),
        batch_growth=js.GrowOnNoise(max_batch_size=16, multiple=0.1),
    )
    rows = []
    outcome = train(Program(experiment, experiment.task.data.load()), 0, on_evaluation=rows.append)
    for row, following in itertools.pairwise(rows):
        grows = row.noise["scale"] >= 0.1 * row.batch_size and row.batch_size < 16
        assert following.batch_size == row.batch_size * (2 if grows else 1)
        assert following.learning_rate == pytest.approx(LR)
    assert len(outcome.plan.phases) > 1


def test_sizes_follow_the_decay_factor_rounded_to_multiples_below_the_cap():
    growth = js.GrowOnDecay()
    assert growth.batch_sizes(128, 50_000, decay_factor=0.2, multiple_of=1) == (
        128,
        640,
        3200,
        5000,
    )
    assert growth.batch_sizes(24, 1000, decay_factor=0.3, multiple_of=8) == (24, 80, 96)
    assert js.GrowOnDecay(3, 100).batch_sizes(100, 200, decay_factor=0.5, multiple_of=1) == (100,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phases": (js.Phase(1, 8), js.Phase(1, 8))}, "needs one phase to start with, got 2"),
        ({"optimizer": js.SGD(0.1)}, r"give it abel=Abel\(…\) or plateau=Plateau\(…\)"),
        ({"batch_growth": js.GrowOnNoise()}, r"give it noise=NoiseEstimate\(\)"),
        ({"max_device_batch": 0}, "max_device_batch of at least 1"),
    ],
)
def test_an_experiment_whose_batch_cannot_grow_is_refused_when_made(growing, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(growing, **change)


@pytest.mark.parametrize(
    ("growth", "multiple_of", "message"),
    [
        (js.GrowOnDecay(), 1, "within 128 … 500, .*, got 50 .a tenth of the training set"),
        (js.GrowOnDecay(max_batch_size=600), 1, "within 128 … 500, .*, got 600"),
        (js.GrowOnDecay(), 96, "multiples of 96 .* first batch_size of 128; use 192"),
    ],
)
def test_impossible_sizes_are_refused(growth, multiple_of, message):
    with pytest.raises(ValueError, match=message):
        growth.batch_sizes(128, 500, decay_factor=0.2, multiple_of=multiple_of)


def test_factors_that_do_not_grow_are_refused():
    with pytest.raises(ValueError, match=r"a factor above 1, got factor=0\.2"):
        js.GrowOnDecay(factor=0.2)
    with pytest.raises(ValueError, match="multiple above 0"):
        js.GrowOnNoise(multiple=math.nan)
