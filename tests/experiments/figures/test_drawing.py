"""The common part of the figure scripts."""

import math
import statistics
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from jaxsched.tracking import Record

RESULTS = Path(__file__).parents[3] / "experiments" / "results"


@pytest.fixture(scope="module")
def figures(load_experiment):
    return load_experiment("figures/drawing")


def record(*accuracies, status="finished"):
    rows = [
        {"step": 10 * n, "epoch": n, "examples": 0, "train_seconds": n, "test_accuracy": accuracy}
        for n, accuracy in enumerate(accuracies, start=1)
    ]
    return Record({"name": "run"}, tuple(rows), {"status": status})


def test_a_curve_is_the_median_with_the_middle_half_up_to_the_end_of_the_shortest_run(figures):
    axis = Figure().subplots()
    runs = [record(0.1, 0.5), record(0.2, 0.6), record(0.3, 0.8, 0.9)]
    figures.draw_curve(axis, runs, "test_accuracy", "step", scale=100, color="black")
    (line,) = axis.lines
    assert line.get_xdata().tolist() == [10, 20]
    assert line.get_ydata().tolist() == pytest.approx([20, 60])
    figures.draw_curve(axis, [], "test_accuracy", "step", color="black")
    assert len(axis.lines) == 1


def test_accuracies_leave_out_what_diverged_or_died(figures):
    runs = [record(0.5, 0.6), record(0.3, status="diverged"), record(0.3, status="failed")]
    assert figures.final_accuracies(runs) == [0.6]
    assert figures.accuracy_text([0.6]) == "60.00 (n=1)"
    assert figures.accuracy_text([0.5, 0.6], ", late") == "55.00 ± 7.07 (n=2, late)"


def test_the_error_of_a_difference_is_that_of_two_independent_means(figures):
    ours, others = [1.0, 2.0, 4.0], [1.0, 1.5]
    value, error = figures.difference(ours, others)
    assert value == pytest.approx(7 / 3 - 1.25)
    variances = [statistics.variance(values) / len(values) for values in (ours, others)]
    assert error == pytest.approx(math.sqrt(sum(variances)))
    assert math.isnan(figures.difference(ours, [1.0]).error)


def test_settings_without_runs_have_no_column(figures):
    runs = {"late_a": [record(0.5)], "steps_b": [], "steps_c": [record(0.6)]}
    titles = {"a": "A", "b": "B", "c": "C"}
    table = figures.table_of_settings(
        runs, ("late", "steps"), titles, lambda records: str(len(records))
    )
    assert table.splitlines()[0] == "|  | A | C |"
    assert table.splitlines()[2:] == ["| late | 1 | 0 |", "| steps | 0 | 1 |"]


def test_abel_has_a_row_a_schedule(load_experiment, figures):
    script = load_experiment("figures/abel")
    *_, last = script.table(figures.load(RESULTS / "abel")).splitlines()
    assert last.startswith("| abel | 57.51 ± 1.75 (n=2, 3 and 2 decays) | 58.64")
