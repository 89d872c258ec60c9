"""The common part of the figure scripts: curves with bands, accuracies as text, `main`.

A script STUDY.py beside it has `draw(runs, path)` and `table(runs)`; `runs` holds the records of
the study by the experiment's name.
"""

import math
import statistics
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsched.bench import Results
from jaxsched.bench.report.curves import column, curve_of
from jaxsched.bench.statistics import TimeAxis
from jaxsched.plotting.style import plain
from jaxsched.text import markdown_rows, mean_and_sd
from jaxsched.tracking import Record

Runs = Mapping[str, Sequence[Record]]


class Difference(NamedTuple):
    """The difference between two means, and its standard error (NaN for single seeds)."""

    value: float
    error: float


def load(folder: Path) -> Runs:
    """Reads the finished runs of a study's folder, by name."""
    results = Results.read([folder])
    return {name: results.runs_of(name) for name in results.manifest.names}


def draw_curve(
    axis: Axes,
    records: Sequence[Record],
    quantity: str,
    time_axis: TimeAxis,
    *,
    scale: float = 1.0,
    **style: Any,
) -> None:
    """Draws the median over the seeds and a band of their middle half; nothing without runs.

    Args:
        axis: where to draw.
        records: the runs of one experiment.
        quantity: the column of the evaluations.
        time_axis: the horizontal axis.
        scale: multiplies the quantity, such as 100 for per cent.
        style: of the line; must have a `color`.
    """
    if (curve := curve_of(records, column(quantity))) is None:
        return
    times = curve.times[time_axis]
    low, median, high = (scale * np.array(part) for part in (curve.low, curve.median, curve.high))
    axis.plot(times, median, **style)
    axis.fill_between(times, low, high, color=style["color"], alpha=0.15, linewidth=0)


def draw_norms(
    runs: Runs,
    path: Path,
    *,
    schedules: Mapping[str, str],
    settings: Mapping[str, str],
    quantity: str,
    label: str,
    width: float,
    scale: float = 1.0,
    shares_norms: bool = False,
) -> None:
    """Draws a column for each setting with runs: a quantity above, |w|² below.

    Args:
        runs: those of the experiments SCHEDULE_SETTING.
        path: the image file to write.
        schedules: the schedules, each with its colour.
        settings: the settings, each with its title.
        quantity: the column of the evaluations that is drawn above.
        label: what the quantity is, for the axis.
        width: of a column, in inches.
        scale: multiplies the quantity, such as 100 for per cent.
        shares_norms: whether all |w|² have one axis, as all of the quantity have.
    """
    settings = with_runs(runs, schedules, settings)
    figure = Figure(figsize=(width * len(settings), 6), layout="constrained")
    shared = "row" if shares_norms else False
    axes = figure.subplots(2, len(settings), sharex=True, sharey=shared, squeeze=False)
    if not shares_norms:
        for axis in axes[0, 1:]:
            axis.sharey(axes[0, 0])
    for (above, below), (setting, title) in zip(axes.T, settings.items(), strict=True):
        for schedule, colour in schedules.items():
            records = runs.get(f"{schedule}_{setting}", ())
            # Without a bounce ABEL equals the late decay: both lines must be visible.
            line = "--" if schedule == "abel" else "-"
            style: dict[str, Any] = {"color": colour, "linestyle": line}
            draw_curve(above, records, quantity, "epoch", scale=scale, label=schedule, **style)
            draw_curve(below, records, "squared_norm", "epoch", **style)
        above.set_title(title)
        below.set_xlabel("epochs")
        below.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(label)
    axes[1, 0].set_ylabel("|w|²")
    for axis in axes.flat:
        plain(axis)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    columns = len(schedules)
    figure.legend(lines, labels, loc="outside upper center", ncols=columns, frameon=False)
    figure.savefig(path, dpi=130)


def with_runs(
    runs: Runs, schedules: Collection[str], settings: Mapping[str, str]
) -> Mapping[str, str]:
    """Returns the settings of which there are runs."""
    return {
        setting: title
        for setting, title in settings.items()
        if any(runs.get(f"{schedule}_{setting}") for schedule in schedules)
    }


def table_of_settings(
    runs: Runs,
    schedules: Collection[str],
    settings: Mapping[str, str],
    cell: Callable[[Sequence[Record]], str],
) -> str:
    """Returns a Markdown table: a row for each schedule, a column for each setting with runs."""
    settings = with_runs(runs, schedules, settings)
    rows = [
        [schedule, *(cell(runs.get(f"{schedule}_{setting}", ())) for setting in settings)]
        for schedule in schedules
    ]
    return markdown_rows([["", *settings.values()], *rows])


def final_accuracies(records: Sequence[Record]) -> list[float]:
    """The last test accuracy of each run that came to a good end, a share."""
    lost = ("diverged", "failed")
    return [r.evaluations[-1]["test_accuracy"] for r in records if r.status not in lost]


def accuracy_text(accuracies: Sequence[float], note: str = "") -> str:
    """Mean ± standard deviation in per cent and the number of seeds, with a note after it."""
    sd = statistics.stdev(accuracies) if len(accuracies) > 1 else None
    return f"{mean_and_sd(statistics.fmean(accuracies), sd)} (n={len(accuracies)}{note})"


def difference(ours: Sequence[float], others: Sequence[float]) -> Difference:
    """Computes the difference of the means, ours − others."""
    variances = [
        statistics.variance(values) / len(values) if len(values) > 1 else math.nan
        for values in (ours, others)
    ]
    value = statistics.fmean(ours) - statistics.fmean(others)
    return Difference(value, math.sqrt(sum(variances)))


def main(
    study: str, file_name: str, draw: Callable[[Runs, Path], None], table: Callable[[Runs], str]
) -> None:
    """Reads the study's folder, draws the figure in it and prints the table.

    The folder is the command's only argument, `runs/STUDY` by default.
    """
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else f"runs/{study}")
    runs = load(folder)
    draw(runs, folder / file_name)
    print(table(runs), end="")
