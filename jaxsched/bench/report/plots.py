"""The report's plot: test accuracy over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsched.bench.report.curves import TIME_AXES, column, curve_of, lowest_accuracy
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis
from jaxsched.plotting.style import curve_style, plain, save_figure
from jaxsched.tracking.records import Record


def draw_accuracy(results: Results, path: Path) -> None:
    """Draws test accuracy against updates: the median over seeds, with a band of their middle half.

    If batch sizes differ, a second panel shows it against epochs, because updates and epochs are
    no longer proportional. The accuracy of averaged weights is dotted.

    Args:
        results: the study's results.
        path: the image file to write.
    """
    sizes = {row.get("batch_size") for record in results.records for row in record.evaluations}
    time_axes: list[TimeAxis] = ["step", "epoch"] if len(sizes) > 1 else ["step"]
    figure = Figure(figsize=(5.2 + 4.6 * len(time_axes), 4.2), layout="constrained")
    axes = figure.subplots(1, len(time_axes), sharey=True, squeeze=False)[0]
    target = results.target.accuracy
    for axis, time_axis in zip(axes, time_axes, strict=True):
        plain(axis)
        for number, name in enumerate(results.manifest.names):
            _draw_experiment(axis, results.runs_of(name), time_axis, name, number)
        axis.axhline(100 * target, color="black", linewidth=1, linestyle="--")
        axis.set_xlabel(TIME_AXES[time_axis])
    transform = axes[0].get_yaxis_transform()  # x as a share of the width, y in per cent
    axes[0].text(0.005, 100 * target, "target", va="bottom", transform=transform)
    axes[0].set_ylim(bottom=100 * lowest_accuracy(results) - 2)
    axes[0].set_ylabel("test accuracy, %")
    figure.suptitle(results.manifest.name)
    # Outside the axes: inside, it might cover a curve in any corner.
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    save_figure(figure, path)


def _draw_experiment(
    axis: Axes, runs: Sequence[Record], time_axis: TimeAxis, name: str, number: int
) -> None:
    """Draws one experiment's curves; nothing if none of its runs has an evaluation."""
    curve = curve_of(runs, column("test_accuracy"))
    if curve is None:
        return
    style, label = curve_style(number), f"{name} (n={curve.n})"
    low, median, high = (100 * np.array(part) for part in (curve.low, curve.median, curve.high))
    axis.plot(curve.times[time_axis], median, **style, label=label)
    shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
    axis.fill_between(curve.times[time_axis], low, high, **shade)
    averaged = curve_of(runs, column("averaged_test_accuracy"))
    if averaged is not None:
        dotted = {"color": style["color"], "linestyle": ":", "label": "… averaged"}
        axis.plot(averaged.times[time_axis], 100 * np.array(averaged.median), **dotted)
