"""The study of growing batches: its runs at both sizes, and what its table says of them."""

import dataclasses
import math
from pathlib import Path

import pytest

from jaxsched.experiment import Experiment
from jaxsched.experiment.files import load_value
from jaxsched.tracking import Record

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture(scope="module")
def figure(load_experiment):
    return load_experiment("figures/batch_growth")


# Steps at 30, 60 and 80 % of 12 epochs of 10,000, each a batch five times larger up to the cap.
UPDATES = {
    "decay": 3750,
    "hybrid": 1650,  # 3.6 epochs at 32, 8.4 at 160
    "batch": 1405,  # 3.6 at 32, 3.6 at 160, 2.4 at 800, 2.4 at 992
    "larger_lr": 319,  # 3.6 at 160, 3.6 at 800, 4.8 at 992
    "larger_momentum": 130,  # 3.6 at 800, 8.4 at 992
}


def test_runs_take_as_many_updates_as_counted_by_hand(load_experiment, figure):
    study = load_experiment("studies/dont_decay").sizes["cpu"]
    found = {run.name: run.plan(10_000).total_steps for run in study.experiments}
    expected = dict(UPDATES)
    for other in ("nesterov", "vanilla", "adam"):
        expected |= {f"{how}_{other}": UPDATES[how] for how in ("decay", "hybrid", "batch")}
    # Planned, before anything is learned.
    expected |= {"abel": 6250, "abel_batch": 6250, "noise_batch": 3125}
    assert found == expected
    assert {*figure.FIGURE_5}.union(*figure.OTHERS.values()) == set(found)


def test_the_larger_size_gives_momentum_room(load_experiment):
    """A velocity takes B / (N (1 − m)) epochs to build up: 2 % of the run, in `cpu` a third."""
    sizes = load_experiment("studies/dont_decay").sizes
    lag = {}
    for size, num_examples in {"cpu": 10_000, "larger": 50_000}.items():
        (run,) = [run for run in sizes[size].experiments if run.name == "larger_momentum"]
        epochs = sum(phase.epochs for phase in run.phases)
        lag[size] = run.phases[0].batch_size / (num_examples * (1 - 0.98)) / epochs
    assert lag == pytest.approx({"cpu": 1 / 3, "larger": 0.02})
    found = {run.name: run.plan(50_000).total_steps for run in sizes["larger"].experiments}
    # By hand: six epochs at each of the first two sizes, four at each of the last two.
    assert found["decay"] == 20 * 50_000 // 16
    assert found["batch"] == 18_750 + 3_750 + 500 + 100
    assert found["larger_momentum"] < found["larger_momentum_ramp"] < found["larger_lr"]


def test_runs_at_the_paper_s_size_take_its_updates(load_experiment):
    """ArXiv 1711.00489, figure 5; it has no number for `hybrid`: 60 epochs at 128, 140 at 640."""
    study = load_experiment("studies/dont_decay").sizes["full"]
    found = {run.name: run.plan(50_000).total_steps for run in study.experiments}
    published = {
        "decay": 78_125,  # "about 80,000"
        "hybrid": 34_376,
        "batch": 29_142,  # "about 29,000"
        "larger_lr": 6_407,  # "under 6,500"
        "larger_momentum": 2_305,  # "under 2,500"
    }
    assert {name: found[name] for name in published} == published


def test_a_quarter_of_an_hour_has_a_tenth_of_the_paper_s_epochs(load_experiment):
    study = load_experiment("studies/dont_decay").sizes["quarter_hour"]
    # By hand: batches of 128, 640, 3200 and 5120 in 6, 6, 4 and 4 epochs of 50,000.
    assert {run.name: run.plan(50_000).total_steps for run in study.experiments} == {
        "decay": 7813,
        "batch": 2344 + 469 + 63 + 39,
        "larger_lr": 469 + 94 + 78,
    }


def test_runs_at_the_paper_s_size_are_those_of_the_configs(load_experiment):
    runs = {
        run.name: run for run in load_experiment("studies/dont_decay").sizes["full"].experiments
    }
    for name in ("decay", "batch"):
        path = CONFIGS / f"cifar10_wrn16_4_{name}.py"
        config = load_value(path, "experiment", Experiment)
        same = dataclasses.replace(config, name=name, evaluate_every=runs[name].evaluate_every)
        assert runs[name] == same


def record(losses, name="run", seed=0):
    rows = [
        {"step": 10 * n, "epoch": 2.0 * n, "train_loss": loss, "test_accuracy": 1 - loss}
        | {"examples": 320 * n, "train_seconds": float(n)}
        for n, loss in enumerate(losses, start=1)
    ]
    return Record({"name": name, "seed": seed}, tuple(rows), {"status": "finished"})


def test_difference_is_that_of_the_means_where_they_are_farthest_apart(figure):
    reference = [record([0.9, 0.5, 0.4]), record([0.9, 0.7, 0.4])]
    others = [record([0.9, 0.4, 0.5]), record([1.0, 0.2, 0.3]), record([0.8, 0.3, 0.4, 0.1])]
    epoch, difference, error = figure.largest_difference(others, reference)
    assert epoch == 4.0
    assert difference == pytest.approx(0.3 - 0.6)
    # Standard deviations of 0.1 and 0.2 / √2, over three and two runs.
    assert error == pytest.approx(math.sqrt(0.1**2 / 3 + 0.02 / 2))
    assert math.isnan(figure.largest_difference(others[:1], reference)[2])


def test_table_has_a_row_a_run_that_was_made(figure):
    runs = {
        "decay": [record([0.9, 0.5], "decay"), record([0.9, 0.7], "decay", 1)],
        "batch": [record([0.9, 0.5], "batch"), record([0.9, 0.5], "batch", 1)],
        "hybrid": [record([0.9, 0.4], "hybrid")],
        "abel": [record([0.9, 0.75], "abel")],
    }
    rows = figure.table(runs).splitlines()[2:]
    # Differences of 0 and 20 points: their mean's error is 10, and t is 12.706 for one freedom.
    assert rows == [
        "| decay | 20 | 40.00 ± 14.14 (n=2) | 94.3 |  |  |",
        "| hybrid | 20 | 60.00 (n=1) |  | +10.00 | -0.200 ± nan to decay, epoch 4 |",
        "| batch | 20 | 50.00 ± 0.00 (n=2) | 94.4 | +10.00 [-117.06, +137.06] "
        "| -0.100 ± 0.100 to decay, epoch 4 |",
        "| abel | 20 | 25.00 (n=1) |  |  |  |",
    ]


def test_figure_is_drawn_from_the_runs_that_there_are(figure, tmp_path):
    runs = {"decay": [record([0.9, 0.5])], "noise_batch": [record([0.9]), record([0.8, 0.7])]}
    figure.draw(runs, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
