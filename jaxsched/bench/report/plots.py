"""The report's plot: the study's metric over time."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsched.bench.report.curves import TIME_AXES, column, curve_of, worst_shown
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis
from jaxsched.plotting.style import curve_style, plain, save_figure

# As many as the figure is high.
_NAMES_A_COLUMN = 19


def draw_metric(results: Results, path: Path) -> None:
    """Draws the metric against updates: the median over seeds, with a band of their middle half.

    If batch sizes differ, a second panel shows it against epochs, because updates and epochs are
    no longer proportional. The values of averaged weights are dotted, and the title says which
    weights count.

    Args:
        results: the study's results.
        path: the image file to write.
    """
    sizes = {row.get("batch_size") for record in results.records for row in record.evaluations}
    has_two = len(sizes) > 1 and "epoch" in results.time_axes
    time_axes: list[TimeAxis] = ["step", "epoch"] if has_two else ["step"]
    figure = Figure(figsize=(5.2 + 4.6 * len(time_axes), 4.2), layout="constrained")
    axes = figure.subplots(1, len(time_axes), sharey=True, squeeze=False)[0]
    metric = results.metric
    target = metric.scale * results.target.value
    for axis, time_axis in zip(axes, time_axes, strict=True):
        plain(axis)
        for number, name in enumerate(results.manifest.names):
            _draw_experiment(axis, results, time_axis, name, number)
        axis.axhline(target, color="black", linewidth=1, linestyle="--")
        axis.set_xlabel(TIME_AXES[time_axis])
    transform = axes[0].get_yaxis_transform()  # x as a share of the width, y a value
    axes[0].text(0.005, target, "target", va="bottom", transform=transform)
    _limit(axes[0], results)
    axes[0].set_ylabel(f"{metric.words}{metric.unit}")
    figure.suptitle(_title(results))
    # Outside the axes: inside, it might cover a curve in any corner.
    handles, labels = axes[0].get_legend_handles_labels()
    columns = math.ceil(len(labels) / _NAMES_A_COLUMN)
    figure.set_figwidth(figure.get_figwidth() + 2.6 * (columns - 1))
    figure.legend(handles, labels, ncols=columns, frameon=False, loc="outside right center")
    save_figure(figure, path)


def _title(results: Results) -> str:
    """The study's name, and which of two curves of an experiment counts."""
    which = results.which_counts
    return f"{results.manifest.name}\n{which}" if which else results.manifest.name


def _limit(axis: Axes, results: Results) -> None:
    """Leaves out what is far worse than the target, so that the rest is told apart."""
    worst, metric = results.metric.scale * worst_shown(results), results.metric
    low, high = axis.get_ylim()
    best = high if metric.better == "higher" else low
    # Two points of a share; of another metric a twentieth of what is shown.
    margin = 2.0 if metric.is_share else 0.05 * abs(best - worst)
    if metric.better == "higher":
        axis.set_ylim(bottom=worst - margin)
    else:
        axis.set_ylim(top=worst + margin)


def _draw_experiment(
    axis: Axes, results: Results, time_axis: TimeAxis, name: str, number: int
) -> None:
    """Draws one experiment's curves; nothing if none of its runs has an evaluation."""
    runs, metric = results.runs_of(name), results.metric
    curve = curve_of(runs, column(metric.name))
    if curve is None:
        return
    style, label = curve_style(number), f"{name} (n={curve.n})"
    parts = (curve.low, curve.median, curve.high)
    low, median, high = (metric.scale * np.array(part) for part in parts)
    _plot(axis, curve.times[time_axis], median, **style, label=label)
    shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
    axis.fill_between(curve.times[time_axis], low, high, **shade)
    averaged = curve_of(runs, column(f"averaged_{metric.name}"))
    if averaged is not None:
        dotted = {"color": style["color"], "linestyle": ":", "label": f"{name}, averaged"}
        values = metric.scale * np.array(averaged.median)
        _plot(axis, averaged.times[time_axis], values, **dotted)


def _plot(axis: Axes, times: Sequence[float], values: np.ndarray, **style: Any) -> None:
    """Draws a curve; one of a single evaluation, which has no line, as a point."""
    axis.plot(times, values, marker="o" if len(values) == 1 else None, **style)
