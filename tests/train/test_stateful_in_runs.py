"""ABEL, plateau and averaging in whole runs, against plain NumPy on the rows."""

import dataclasses
import time
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.tasks import Metric
from jaxsched.train import Program, train
from jaxsched.train.early_stopping import abel_stop_reason

PHASES = (js.Phase(epochs=3, batch_size=16), js.Phase(epochs=3, batch_size=24))


def run(experiment, seed=0, **options):
    rows = []
    program = Program(experiment, experiment.task.data.load())
    outcome = train(program, seed, on_evaluation=rows.append, **options)
    return program, outcome, rows


@pytest.fixture(scope="module")
def stateful(experiment):
    """All stateful transformations, over two batch sizes; the norm bounces within six epochs."""
    optimizer = js.SGD(
        0.3,
        momentum=0.9,
        weight_decay=0.02,
        abel=js.Abel(0.5, last_decay=5),
        plateau=js.Plateau(factor=0.8, patience=0, threshold=0.05),
        averaging=js.Averaging(start=3, statistics_examples=50),
    )
    with pytest.MonkeyPatch.context() as patch:
        # 100 examples then make more batches than one.
        patch.setattr("jaxsched.train.program.batch_stats.EVALUATION_BATCH", 40)
        patch.setattr("jaxsched.train.input_pipeline.place.EVALUATION_BATCH", 40)
        yield dataclasses.replace(experiment, optimizer=optimizer, phases=PHASES)


@pytest.fixture(scope="module")
def stateful_run(stateful):
    return run(stateful)


def abel_scales(norms, factor, last_epoch):
    """Algorithm 1 on the norms after epochs 1, 2, …; returns the scale during the epoch after."""
    scale, reached_minimum, scales = 1.0, False, [1.0]
    for t in range(1, len(norms)):
        if t >= 2 and (norms[t] - norms[t - 1]) * (norms[t - 1] - norms[t - 2]) < 0:
            scale *= factor if reached_minimum else 1
            reached_minimum = not reached_minimum
        if t + 1 == last_epoch:
            scale *= factor
        scales.append(scale)
    return scales


@pytest.mark.slow
def test_abel_decays_as_the_norms_of_the_rows_say(stateful_run):
    _, _, rows = stateful_run
    norms = [row.squared_norm for row in rows]
    expected = abel_scales(norms, factor=0.5, last_epoch=5)
    # A row holds the scale of its epoch's last update, which depends on the norms before the epoch.
    assert [row.abel["scale"] for row in rows] == [1.0, *expected[:-1]]
    for row, before in zip(rows[1:], rows, strict=False):
        assert row.abel["squared_norm"] == pytest.approx(before.squared_norm, rel=1e-6)


@pytest.mark.slow
def test_plateau_decays_as_the_losses_of_the_rows_say(stateful_run):
    _, _, rows = stateful_run
    best, scale, expected = np.inf, 1.0, [1.0]
    for row in rows[:-1]:
        if row.test_loss < best * 0.95:
            best = row.test_loss
        else:
            scale *= 0.8
        expected.append(scale)
    assert [row.plateau["scale"] for row in rows] == pytest.approx(expected, rel=1e-6)
    assert expected[-1] < 1  # it has decayed at least once


@pytest.mark.slow
def test_the_learning_rate_of_a_row_is_the_one_in_force(stateful_run):
    _, _, rows = stateful_run
    for row in rows:
        scale = row.abel["scale"] * row.plateau["scale"]
        assert row.learning_rate == pytest.approx(0.3 * scale, rel=1e-6)


@pytest.mark.slow
def test_the_average_is_that_of_the_runs_that_end_where_it_collects(experiment):
    """The weights of runs that end after epochs 4, 5 and 6 against a run that averages them."""
    plain = dataclasses.replace(
        experiment, optimizer=js.SGD(0.1, momentum=0.9), phases=(js.Phase(6, 20),)
    )
    optimizer = dataclasses.replace(plain.optimizer, averaging=js.Averaging(start=3))
    _, outcome, rows = run(dataclasses.replace(plain, optimizer=optimizer))
    program, ends = Program(plain, plain.task.data.load()), []
    for epochs in (4, 5, 6):

        def stop(rows, epochs=epochs):
            return "here" if len(rows) == epochs else ""

        ended = train(program, 0, on_evaluation=lambda row: None, stop=stop)
        ends.append(ended.state.params)
    ours = js.averaged_params(outcome.state.opt_state, outcome.state.params)
    mean = jax.tree.map(lambda *w: np.mean([np.float64(x) for x in w], axis=0), *ends)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, mean)
    # Averaging does not change the run itself.
    jax.tree.map(np.testing.assert_array_equal, outcome.state.params, ends[-1])
    assert [row.num_averaged for row in rows] == [0, 0, 0, 1, 2, 3]


@pytest.mark.slow
def test_rows_hold_both_accuracies_once_there_is_an_average(stateful_run):
    program, outcome, rows = stateful_run
    assert [row.averaged_test_loss is None for row in rows] == [True] * 3 + [False] * 3
    step = program.plan.total_steps

    params = program.averaged_params(outcome.state)
    some, all_ = (
        program.recompute_batch_stats(params, seed=0, step=step, num_examples=n) for n in (50, 100)
    )
    assert rows[-1].averaged_test_loss == pytest.approx(program.evaluate(some).mean_loss)
    end = outcome.average_on_all
    assert end.metrics["test_loss"] == pytest.approx(program.evaluate(all_).mean_loss)
    assert 0 < end.statistics_error < 0.5


@pytest.mark.slow
def test_re_estimation_counts_as_training_time(stateful_run, monkeypatch):
    """Each re-estimation takes a simulated hour, much more than anything else on any machine."""
    program, *_ = stateful_run
    quick, tick, hours = program.recompute_batch_stats, time.perf_counter, []

    def recompute_batch_stats(*args, **kwargs):
        hours.append(3600)
        return quick(*args, **kwargs)

    monkeypatch.setattr(program, "recompute_batch_stats", recompute_batch_stats)
    monkeypatch.setattr(time, "perf_counter", lambda: tick() + sum(hours))
    rows = []
    train(program, 0, on_evaluation=rows.append)
    assert 3 * 3600 < rows[-1].train_seconds < 4 * 3600  # at the three evaluations of an average
    assert rows[-1].evaluation_seconds < 3600


@pytest.mark.slow
def test_the_states_are_the_same_on_four_devices(stateful, stateful_run):
    _, _, rows = run(dataclasses.replace(stateful, driver="pmap", num_devices=4))
    for ours, alone in zip(rows, stateful_run[2], strict=True):
        assert ours.abel["scale"] == alone.abel["scale"]
        assert ours.plateau["num_bad"] == alone.plateau["num_bad"]
        assert ours.squared_norm == pytest.approx(alone.squared_norm, rel=1e-4)
        assert ours.test_loss == pytest.approx(alone.test_loss, rel=1e-2)


def test_a_run_ends_where_its_caller_says(program):
    rows = []
    outcome = train(
        program,
        0,
        on_evaluation=rows.append,
        stop=lambda rows: "enough" if len(rows) == 2 else "",
    )
    assert (outcome.status, outcome.reason, len(rows)) == ("stopped", "enough", 2)


def row(epoch, accuracy, decays):
    """The fields of a row that the rule reads, with 1000 examples an epoch."""
    return SimpleNamespace(
        step=epoch * 10,
        epoch=epoch,
        examples=epoch * 1000,
        batch_size=100,
        metrics={"test_accuracy": accuracy},
        abel={"num_decays": decays},
    )


ABEL = js.Abel(stop_below=0.01, stop_after=2)
ACCURACY = Metric("accuracy", better="higher", is_share=True)
GAINED = [row(1, 0.5, 0), row(2, 0.6, 0), row(3, 0.7, 1), row(4, 0.71, 1)]
LAST = [*GAINED, row(5, 0.715, 2)]


@pytest.mark.parametrize(
    ("rows", "stops"),
    [
        ([], False),
        (GAINED[:2], False),  # no decay yet
        (GAINED, False),  # gained 0.11
        (LAST, False),  # gained 0.005, but only one epoch has passed since the decay
        ([*LAST, row(6, 0.716, 2)], True),
        ([*LAST, row(6, 0.73, 2)], False),
        ([*LAST, row(6, 0.716, 2), row(7, 0.8, 3)], False),  # another decay has come since
        ([row(1, 0.5, 1), row(9, 0.5, 1)], False),  # no row from before the decay to compare with
    ],
)
def test_a_run_stops_when_a_decay_gained_too_little(rows, stops):
    reason = abel_stop_reason(rows, ABEL, ACCURACY)
    assert bool(reason) == stops
    if stops:
        assert "decay 2 has gained 0.60% accuracy, less than stop_below=1.00%" in reason
    assert not abel_stop_reason(rows, js.Abel(stop_after=2), ACCURACY)
    assert not abel_stop_reason(rows, None, ACCURACY)


@pytest.mark.slow
def test_abel_stops_a_real_run(experiment):
    """No decay gains 100 % accuracy, so the run stops one epoch after its first decay."""
    abel = js.Abel(0.5, last_decay=2, stop_below=1.0, stop_after=1)
    optimizer = js.SGD(0.1, momentum=0.9, abel=abel)
    stopping = dataclasses.replace(experiment, optimizer=optimizer, phases=(js.Phase(9, 20),))
    _, outcome, rows = run(stopping)
    assert outcome.status == "stopped"
    assert rows[-1].epoch == 3
