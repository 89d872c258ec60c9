"""The study of super-convergence: its runs against the papers' formulae, and its table."""

import math
import re

import numpy as np
import pytest

from jaxsched.tracking import Record

NUM_FULL, NUM_SMALL = 50_000, 5_000


@pytest.fixture(scope="module")
def study(load_experiment):
    return load_experiment("studies/one_cycle").sizes["cpu"]


@pytest.fixture(scope="module")
def full(load_experiment):
    return load_experiment("studies/one_cycle").sizes["full"]


@pytest.fixture(scope="module")
def figure(load_experiment):
    return load_experiment("figures/one_cycle")


def runs_of(study):
    return {run.name: run for run in study.experiments}


def test_runs_take_as_many_updates_as_counted_by_hand(study, figure):
    found = {run.name: run.plan(NUM_SMALL).total_steps for run in study.experiments}
    drawn = {*figure.CURVES}.union(*figure.SETTINGS.values())
    expected = dict.fromkeys(drawn, 400)  # 8 epochs of 50
    expected |= {"piecewise_8x": 3200, "one_cycle_2x": 800}
    expected |= {"one_cycle_batch_50": 800, "one_cycle_batch_200": 200}
    assert found == expected


def test_runs_at_the_papers_size_take_their_updates(full):
    found = {run.name: run.plan(NUM_FULL).total_steps for run in full.experiments}
    for name, updates in found.items():
        if name.startswith("cycle"):
            assert updates == 10_000
    assert found["piecewise_8x"] == 80_000
    # The logs have 9,277 updates: 95 epochs of 50,000 are 9,277.3 batches of 512, none dropped.
    assert found["one_cycle"] == 9278
    assert found["one_cycle_batch_256"] == math.ceil(70 * 50_000 / 256)
    assert found["one_cycle_batch_1024"] == math.ceil(116 * 50_000 / 1024)


def test_settings_at_the_papers_size_are_the_papers(full):
    runs = runs_of(full)
    assert {run.optimizer.schedules()["weight_decay"](0).item() for run in full.experiments} == {
        np.float32(decay).item() for decay in (1e-3, 3e-4, 1e-4, 1e-5, 1e-6)
    }
    assert {name: run.task.model.depth for name, run in runs.items()} == dict.fromkeys(runs, 56)
    # Caffe's moving_average_fraction, and a GPU's share of the batch.
    for name, kept in {"cycle": 0.95, "piecewise": 0.999, "piecewise_8x": 0.999}.items():
        assert (runs[name].task.model.norm.momentum, runs[name].task.model.norm.ghost) == (
            kept,
            1000 // 8,
        )
    assert runs["one_cycle"].task.model.norm.ghost == 512 // 8


def test_an_epoch_has_as_many_updates_at_both_sizes(study, full):
    """So that a rate makes the same noise g = lr N / (B (1 − momentum))."""
    small, large = (runs_of(s)["cycle"].phases[0].batch_size for s in (study, full))
    assert NUM_SMALL / small == NUM_FULL / large == 50


def in_updates(run, name, num_examples):
    """A hyper-parameter at given updates, in float32."""
    schedule = run.plan(num_examples).schedule(run.optimizer.schedules()[name])
    return lambda steps: np.array([schedule(step) for step in steps])


def triangle(step, half):
    """1 − |x| of the cyclical learning rate paper, within its first cycle."""
    return max(0.0, 1 - abs(step / half - 1))


@pytest.mark.parametrize(
    "size, base, peak, half", [("full", 0.1, 3, 5000), ("small", 1 / 30, 1, 200)]
)
def test_cycle_is_the_triangle_of_the_paper(study, full, size, base, peak, half):
    run, num = {"full": (full, NUM_FULL), "small": (study, NUM_SMALL)}[size]
    rate = in_updates(runs_of(run)["cycle"], "lr", num)
    steps = [0, 1, half // 3, half - 1, half, half + 1, 2 * half - 1]
    expected = [base + (peak - base) * triangle(step, half) for step in steps]
    # To the rounding of the peak in float32, also where the rate is small.
    np.testing.assert_allclose(rate(steps), expected, atol=2**-23 * peak)


def test_steps_come_at_the_updates_of_the_paper(full):
    rate = in_updates(runs_of(full)["piecewise_8x"], "lr", NUM_FULL)
    found = rate([0, 49_999, 50_000, 69_999, 70_000, 79_999])
    np.testing.assert_allclose(found, [0.35, 0.35, 0.035, 0.035, 0.0035, 0.0035], rtol=1e-6)


# By hand from 95 epochs at batch 512: 43 % are 40.85 epochs.
HALF = 0.43 * 95 * 50_000 / 512
STEPS = [0, 1, 1000, 3988, 3990, 5000, 7978, 7980, 9277]


def test_one_cycle_is_that_of_the_author_s_logs(full):
    rate = in_updates(runs_of(full)["one_cycle"], "lr", NUM_FULL)
    expected = [
        0.08 + 0.72 * step / HALF
        if step <= HALF
        else max(0.08 / 1000, 0.8 * (2 * HALF - step) / HALF)
        for step in STEPS
    ]
    # Near the floor the rate is a small difference of large numbers.
    np.testing.assert_allclose(rate(STEPS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name, ends, turn", [("one_cycle", 0.95, 0.8), ("one_cycle_rising", 0.9, 1)]
)
def test_momentum_turns_with_the_rate(full, name, ends, turn):
    """The author's Caffe patch up to the end of the triangle, where his text holds the maximum."""
    momentum = in_updates(runs_of(full)[name], "momentum", NUM_FULL)
    expected = [ends + (turn - ends) * triangle(step, HALF) for step in STEPS]
    np.testing.assert_allclose(momentum(STEPS), expected, rtol=1e-5)


def test_constant_momenta_and_weight_decays_are_what_the_names_say(study, full):
    for num, of_size in ((NUM_SMALL, study), (NUM_FULL, full)):
        for run in of_size.experiments:
            if found := re.search(r"_(momentum|wd)_(.+)", run.name):
                name = {"momentum": "momentum", "wd": "weight_decay"}[found[1]]
                np.testing.assert_allclose(
                    in_updates(run, name, num)([0, 100, 399]), float(found[2]), rtol=1e-6
                )


def test_published_numbers_are_those_that_the_study_quotes(load_experiment, figure):
    text = load_experiment("studies/one_cycle").__doc__
    for name, accuracy in figure.PUBLISHED.items():
        assert "diverged" in text if accuracy < 10 else str(accuracy) in text, name
    assert figure.published_difference("piecewise_8x") == pytest.approx(-2.12)
    assert figure.published_difference("one_cycle_rising") == pytest.approx(-0.6)
    assert figure.published_difference("piecewise") is None


def record(name, accuracy, status="finished"):
    rows = [
        {"step": step, "train_loss": 2.0 - accuracy, "test_accuracy": accuracy * step / 400}
        | {"epoch": step / 50, "examples": 100 * step, "train_seconds": float(step)}
        for step in (200, 400)
    ]
    rows = rows if status == "finished" else []
    return Record({"name": name, "total_steps": 400}, tuple(rows), {"status": status})


@pytest.fixture
def made():
    """Two seeds of most; one run diverged, one whole setting does not learn, another diverged."""
    return {
        "cycle": [record("cycle", 0.50), record("cycle", 0.52)],
        "piecewise": [record("piecewise", 0.45), record("piecewise", 0.43)],
        "cycle_wd_1e-3": [record("cycle_wd_1e-3", 0.4), record("cycle_wd_1e-3", 0, "diverged")],
        "cycle_wd_1e-5": [record("cycle_wd_1e-5", 0.1), record("cycle_wd_1e-5", 0.1)],
        "one_cycle_rising": [record("one_cycle_rising", 0, "diverged")],
    }


def test_table_has_a_row_a_run_that_was_made(figure, made):
    sd = math.sqrt(2)  # of two numbers two points apart; the error of such a mean is 1
    assert figure.table(made).splitlines()[2:] == [
        f"| cycle | 400 | 51.00 ± {sd:.2f} (n=2) | 92.44 |  |  |",
        f"| piecewise | 400 | 44.00 ± {sd:.2f} (n=2) |  | -7.00 ± {sd:.2f} to cycle |  |",
        "| cycle_wd_1e-5 | 400 | 10.00 ± 0.00 (n=2) | 88.28 | -41.00 ± 1.00 to cycle | -4.16 |",
        "| cycle_wd_1e-3 | 400 | 40.00 (n=1), 1 diverged | 9.95 | -11.00 ± nan to cycle | -82.49 |",
        "| one_cycle_rising | 400 | 1 diverged | 91.4 |  | -0.60 |",
    ]


def test_figure_is_drawn_from_the_runs_that_there_are(figure, made, tmp_path):
    figure.draw(made, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert figure.difference(made, "cycle_wd_1e-5").value < figure.LOWEST
