"""The pictures: accuracy against updates, and the schedules that made it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from uniplot import plot_to_string

from jaxsched.bench.curves import CLOCKS, column, curve_of, lowest_accuracy
from jaxsched.bench.records import Record
from jaxsched.bench.results import Results
from jaxsched.bench.statistics import Clock
from jaxsched.bench.style import colour, dashes
from jaxsched.train import Preview


def draw_accuracy(results: Results, path: Path) -> None:
    """Test accuracy against updates: the median over seeds, the band its middle half.

    Against epochs as well where batch sizes differ, which pulls the two apart. That of the averaged
    weights, where there is an average, is dotted.
    """
    sizes = {row.get("batch_size") for record in results.records for row in record.evaluations}
    clocks: list[Clock] = ["step", "epoch"] if len(sizes) > 1 else ["step"]
    figure = Figure(figsize=(5.2 + 4.6 * len(clocks), 4.2), layout="constrained")
    axes = figure.subplots(1, len(clocks), sharey=True, squeeze=False)[0]
    target = results.target.accuracy
    for axis, clock in zip(axes, clocks, strict=True):
        for number, name in enumerate(results.outline.names):
            _draw_runs(plain(axis), results.runs_of(name), clock, name, number)
        axis.axhline(100 * target, color="black", linewidth=1, linestyle="--")
        axis.set_xlabel(CLOCKS[clock])
    where = axes[0].get_yaxis_transform()  # x as a share of the width, y in per cent
    axes[0].text(0.005, 100 * target, "target", va="bottom", transform=where)
    axes[0].set_ylim(bottom=100 * lowest_accuracy(results) - 2)
    axes[0].set_ylabel("test accuracy, %")
    figure.suptitle(results.outline.name)
    # Beside the axes: within them it may cover a curve, wherever it stands.
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.savefig(path, dpi=150)


def _draw_runs(axis: Axes, runs: Sequence[Record], clock: Clock, name: str, number: int) -> None:
    """One experiment's seeds, where they came to an evaluation."""
    curve = curve_of(runs, column("test_accuracy"))
    if curve is None:
        return
    style, label = _style(number), f"{name} (n={curve.n})"
    low, median, high = (100 * np.array(of) for of in (curve.low, curve.median, curve.high))
    axis.plot(curve.times[clock], median, **style, label=label)
    shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
    axis.fill_between(curve.times[clock], low, high, **shade)
    averaged = curve_of(runs, column("averaged_test_accuracy"))
    if averaged is not None:
        dotted = {"color": style["color"], "linestyle": ":", "label": "… averaged"}
        axis.plot(averaged.times[clock], 100 * np.array(averaged.median), **dotted)


def draw_schedules(previews: Mapping[str, Preview], path: Path) -> None:
    """Every hyper-parameter over the run, against updates and against epochs."""
    names = _curve_names(previews)
    figure = Figure(figsize=(10, 1.2 + 1.5 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, sharex="col", sharey="row", squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for number, shown in enumerate(previews.values()):
            if name in shown.curves:
                for axis, times in zip(row, (shown.steps, shown.epochs), strict=True):
                    values = shown.curves[name]
                    # A schedule holds its value until the next update.
                    axis.step(times, values, **_style(number), where="post", alpha=0.85)
        row[0].set_ylabel(name.replace("_", " "))
    for axis in axes.flat:
        plain(axis)
    axes[-1, 0].set_xlabel("updates")
    axes[-1, 1].set_xlabel("epochs")
    lines = axes[0, 0].get_lines()
    figure.legend(lines, list(previews), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=150)


def text_schedules(previews: Mapping[str, Preview], *, width: int = 68, colour: bool) -> str:
    """The same against epochs, as text for a terminal."""
    plots = []
    for name in _curve_names(previews):
        shown = {key: p for key, p in previews.items() if name in p.curves}
        values = np.unique(np.concatenate([p.curves[name] for p in shown.values()]))
        if len(values) == 1:
            plots.append(f"{name.replace('_', ' ')}: {values[0]:.6g} throughout\n")
            continue
        text = plot_to_string(
            xs=[p.epochs for p in shown.values()],
            ys=[p.curves[name] for p in shown.values()],
            title=name.replace("_", " "),
            legend_labels=list(shown),
            x_unit=" ep",
            width=width,
            height=8,
            lines=True,
            color=colour,
            character_set="braille",
        )
        plots.append(text)
    return "\n".join(plots)


def _curve_names(previews: Mapping[str, Preview]) -> list[str]:
    return list(dict.fromkeys(name for shown in previews.values() for name in shown.curves))


def _style(number: int) -> dict[str, Any]:
    """Of the n-th curve, from 0."""
    return {"color": colour(number), "linestyle": (0, dashes(number)) if dashes(number) else "-"}


def plain(axis: Axes) -> Axes:
    """The axes with a light grid and without a frame."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.6)
    return axis
