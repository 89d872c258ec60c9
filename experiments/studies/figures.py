"""The common part of the figure scripts: curves with bands, accuracies as text, `main`.

A script STUDY_figure.py has `draw(runs, path)` and `table(runs)`; `runs` holds the records of the
study by the experiment's name.
"""

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from jaxsched.bench import Results
from jaxsched.bench.report.curves import column, curve_of
from jaxsched.bench.statistics import TimeAxis
from jaxsched.text import mean_and_sd
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
