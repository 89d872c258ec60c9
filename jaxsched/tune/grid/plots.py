"""Plots a grid: how the loss fell at each value, and where it ended."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from jaxsched.plotting.style import COLOURS, plain, save_figure
from jaxsched.text import format_values, text_of, title
from jaxsched.tune.grid.ranking import Result
from jaxsched.tune.grid.runs import CellRuns

# As many lines as a reader can tell apart; of more cells only the best are drawn.
_COLOURS = (*COLOURS, "#000000")
_MOST_BANDS = 5  # more bands would hide each other


def draw_grid(
    heading: str,
    runs: Sequence[CellRuns],
    results: Sequence[Result],
    path: Path,
    *,
    evaluated_on: str,
) -> None:
    """Plots loss against epochs, one line for each cell, and the last loss against the values.

    Lines are means over seeds; bands reach from the lowest to the highest seed.

    Args:
        heading: the title of the figure.
        runs: the cells with their records.
        results: the results of the same cells.
        path: the image file to write.
        evaluated_on: the images of the loss: "validation" or "test".
    """
    names = list(results[0].values)
    varied = [name for name in names if len({r.values[name] for r in results}) > 1]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    curves, *rest = figure.subplots(1, 2 if len(varied) in (1, 2) else 1, squeeze=False)[0]
    _draw_curves(curves, runs, results, evaluated_on)
    if len(varied) == 1:
        _draw_line(rest[0], varied[0], results, evaluated_on)
    elif len(varied) == 2:
        _draw_map(figure, rest[0], varied, results, evaluated_on)
    figure.suptitle(heading)
    save_figure(figure, path)


def _draw_curves(
    axis: Axes, runs: Sequence[CellRuns], results: Sequence[Result], evaluated_on: str
) -> None:
    order = sorted(range(len(results)), key=lambda index: results[index].loss)
    shown = order[: len(_COLOURS)]
    lowest = math.inf
    for colour, index in zip(_COLOURS, shown, strict=False):
        rows = [record.evaluations for record in runs[index].records]
        # A run that diverged has fewer evaluations; the line ends with the shortest run.
        length = min(map(len, rows))
        if not length:
            continue
        epochs = [row["epoch"] for row in rows[0][:length]]
        losses = np.array([[row["test_loss"] for row in run[:length]] for run in rows])
        mean = losses.mean(axis=0)
        axis.plot(epochs, mean, color=colour, label=format_values(runs[index].cell.values))
        if len(shown) <= _MOST_BANDS:
            band = losses.min(axis=0), losses.max(axis=0)
            axis.fill_between(epochs, *band, color=colour, alpha=0.12, linewidth=0)
        lowest = min(lowest, losses.min())
    more = "" if len(shown) == len(results) else f", the best {len(shown)} of {len(results)} cells"
    plain(axis).set(xlabel="epochs", ylabel=f"{evaluated_on} loss{more}")
    if 0 < lowest < math.inf:
        axis.set_yscale("log")
        # Label minor ticks too: within a decade there is no power of ten to label.
        axis.yaxis.set_major_formatter(LogFormatter())
        axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
    axis.legend(frameon=False, fontsize=8)


def _draw_line(axis: Axes, name: str, results: Sequence[Result], evaluated_on: str) -> None:
    """Plots the last loss against one value."""
    known = sorted((r for r in results if not r.num_diverged), key=lambda r: _number(r, name))
    places = _places([r.values[name] for r in results])
    x = [places[r.values[name]] for r in known]
    losses = [list(r.losses.values()) for r in known]
    for position, seeds in zip(x, losses, strict=True):
        axis.plot([position] * len(seeds), seeds, ".", color=COLOURS[0], alpha=0.5)
    # A value of 0 stands apart on a logarithmic axis, so that no line leads to it.
    joined = [i for i, r in enumerate(known) if r.values[name] != 0]
    means = [r.loss for r in known]
    axis.plot([x[i] for i in joined], [means[i] for i in joined], color=COLOURS[0], zorder=1)
    axis.plot(x, means, "o", color=COLOURS[0], label="mean over seeds")
    if known:
        best = min(range(len(known)), key=lambda i: means[i])
        axis.plot(
            x[best], means[best], "o", markersize=13, markerfacecolor="none", color="black",
            label="lowest",
        )  # fmt: skip
    diverged = [places[r.values[name]] for r in results if r.num_diverged]
    for position in diverged:
        axis.axvline(position, color=COLOURS[1], linestyle=":", linewidth=1.5)
    if diverged:
        axis.plot([], [], ":", color=COLOURS[1], label="diverged")
    plain(axis).set(xlabel=title(name), ylabel=f"last {evaluated_on} loss")
    axis.set_xticks(list(places.values()), [text_of(value) for value in places], rotation=30)
    axis.legend(frameon=False, fontsize=8)


def _draw_map(
    figure: Figure, axis: Axes, names: Sequence[str], results: Sequence[Result], evaluated_on: str
) -> None:
    """Plots the last loss over two values, as numbers on colours."""
    rows, columns = (sorted({r.values[name] for r in results}) for name in names)
    losses = np.full((len(rows), len(columns)), np.nan)
    for r in results:
        losses[rows.index(r.values[names[0]]), columns.index(r.values[names[1]])] = r.loss
    finite = losses[np.isfinite(losses)]
    shown = np.where(np.isfinite(losses), losses, np.nan)
    image = axis.imshow(shown, cmap="cividis_r", aspect="auto", origin="lower")
    middle = (finite.min() + finite.max()) / 2 if len(finite) else math.nan
    for (row, column), loss in np.ndenumerate(losses):
        if np.isnan(loss):
            continue  # this combination was not run
        text = f"{loss:.3g}" if np.isfinite(loss) else "diverged"
        is_best = bool(len(finite)) and loss == finite.min()
        axis.text(
            column, row, text, ha="center", va="center", fontsize=9,
            color="white" if np.isfinite(loss) and loss > middle else "black",
            fontweight="bold" if is_best else "normal",
        )  # fmt: skip
    axis.set_xticks(range(len(columns)), [text_of(value) for value in columns])
    axis.set_yticks(range(len(rows)), [text_of(value) for value in rows])
    axis.set(xlabel=title(names[1]), ylabel=title(names[0]))
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, label=f"last {evaluated_on} loss", pad=0.02)


def _places(values: Sequence[Any]) -> dict[Any, float]:
    """The position of each value on the axis.

    Numbers stand on a logarithmic axis with 0 apart, or on a linear one if they differ by less than
    tenfold or are negative; other values stand one after another.
    """
    if not all(isinstance(value, int | float) for value in values):
        return {value: float(index) for index, value in enumerate(dict.fromkeys(values))}
    ordered = sorted(set(values))
    positive = [value for value in ordered if value > 0]
    if not positive or ordered[0] < 0 or positive[-1] < 10 * positive[0]:
        return {value: float(value) for value in ordered}
    places = {value: math.log10(value) for value in positive}
    zero = {0: places[positive[0]] - 1} if ordered[0] == 0 else {}
    return {**zero, **places}


def _number(result: Result, name: str) -> float:
    value = result.values[name]
    return float(value) if isinstance(value, int | float) else 0.0
