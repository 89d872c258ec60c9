"""The pictures: accuracy against updates, and the schedules that made it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsched.bench.report.curves import TIME_AXES, column, curve_of, lowest_accuracy
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis
from jaxsched.plotting.style import curve_style, plain
from jaxsched.tracking.records import Record


def draw_accuracy(results: Results, path: Path) -> None:
    """Test accuracy against updates: the median over seeds, the band its middle half.

    Against epochs as well where batch sizes differ, which pulls the two apart. That of the averaged
    weights, where there is an average, is dotted.
    """
    sizes = {row.get("batch_size") for record in results.records for row in record.evaluations}
    clocks: list[TimeAxis] = ["step", "epoch"] if len(sizes) > 1 else ["step"]
    figure = Figure(figsize=(5.2 + 4.6 * len(clocks), 4.2), layout="constrained")
    axes = figure.subplots(1, len(clocks), sharey=True, squeeze=False)[0]
    target = results.target.accuracy
    for axis, clock in zip(axes, clocks, strict=True):
        for number, name in enumerate(results.manifest.names):
            _draw_runs(plain(axis), results.runs_of(name), clock, name, number)
        axis.axhline(100 * target, color="black", linewidth=1, linestyle="--")
        axis.set_xlabel(TIME_AXES[clock])
    where = axes[0].get_yaxis_transform()  # x as a share of the width, y in per cent
    axes[0].text(0.005, 100 * target, "target", va="bottom", transform=where)
    axes[0].set_ylim(bottom=100 * lowest_accuracy(results) - 2)
    axes[0].set_ylabel("test accuracy, %")
    figure.suptitle(results.manifest.name)
    # Beside the axes: within them it may cover a curve, wherever it stands.
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.savefig(path, dpi=150)


def _draw_runs(axis: Axes, runs: Sequence[Record], clock: TimeAxis, name: str, number: int) -> None:
    """One experiment's seeds, where they came to an evaluation."""
    curve = curve_of(runs, column("test_accuracy"))
    if curve is None:
        return
    style, label = curve_style(number), f"{name} (n={curve.n})"
    low, median, high = (100 * np.array(of) for of in (curve.low, curve.median, curve.high))
    axis.plot(curve.times[clock], median, **style, label=label)
    shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
    axis.fill_between(curve.times[clock], low, high, **shade)
    averaged = curve_of(runs, column("averaged_test_accuracy"))
    if averaged is not None:
        dotted = {"color": style["color"], "linestyle": ":", "label": "… averaged"}
        axis.plot(averaged.times[clock], 100 * np.array(averaged.median), **dotted)
