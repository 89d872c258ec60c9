"""Plots a grid: how the loss fell at each value, where it ended in each seed, what was taken."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from jaxsched.plotting.style import COLOURS, plain, save_figure
from jaxsched.text import format_values, text_of, title
from jaxsched.tune.grid.ranking import Ranking, Result
from jaxsched.tune.grid.runs import CellRuns

# As many lines as a reader can tell apart; of more cells only the best are drawn.
_COLOURS = (*COLOURS, "#000000")
_MOST_BANDS = 5  # more bands would hide each other
_MOST_ROWS = 30
_CROSS = "\N{MULTIPLICATION SIGN}"
_TAKEN = {"markersize": 13, "markerfacecolor": "none", "color": "black", "markeredgewidth": 1.4}
_CAPTION_WIDTH = 145  # characters of the caption in a line


def draw_grid(
    heading: str,
    runs: Sequence[CellRuns],
    results: Sequence[Result],
    ranking: Ranking,
    path: Path,
    *,
    evaluated_on: str,
    time: Literal["epoch", "train_seconds"] = "epoch",
) -> None:
    """Plots loss against time, one line for each cell, and the last losses of all seeds.

    Lines are means over seeds; bands reach from the lowest to the highest seed. A cell with a run
    that diverged has a line for each run, with a cross at the end of those. The caption tells
    which cell was taken, and why.

    Args:
        heading: the title of the figure.
        runs: the cells with their records.
        results: the results of the same cells.
        ranking: the cell that is taken, and the reason.
        path: the image file to write.
        evaluated_on: the images of the loss: "validation" or "test".
        time: the time that the runs compare by.
    """
    names = list(results[0].values)
    varied = [name for name in names if len({r.values[name] for r in results}) > 1]
    num_rows = 0 if len(varied) in (1, 2) else min(len(results), _MOST_ROWS)
    heights = [4, 0.5 + 0.25 * num_rows]
    figure = Figure(figsize=(11, 1 + sum(heights) if num_rows else 6), layout="constrained")
    # Rows are named by all their values, for which half a page is too narrow.
    curves, ends = (
        figure.subplots(2, 1, height_ratios=heights) if num_rows else figure.subplots(1, 2)
    )
    _draw_curves(curves, runs, results, ranking, evaluated_on, time)
    curves.set_xlabel("epochs" if time == "epoch" else "training seconds")
    if not num_rows:
        _name_curves(curves)
    if len(varied) == 1:
        _draw_line(ends, varied[0], results, ranking)
        ends.set_ylabel(f"last {evaluated_on} loss")
    elif len(varied) == 2:
        _draw_map(figure, ends, varied, results, ranking, evaluated_on)
    else:
        _draw_rows(ends, results, ranking)
        ends.set_xlabel(f"last {evaluated_on} loss")
    figure.suptitle(heading)
    figure.supxlabel(textwrap.fill(_caption(results, ranking), _CAPTION_WIDTH), fontsize=9.5)
    save_figure(figure, path)


def _caption(results: Sequence[Result], ranking: Ranking) -> str:
    is_single = max(len(r.losses) for r in results) == 1
    return f"{ranking.reason}{' One seed shows no spread.' if is_single else ''}"


def _is_taken(result: Result, ranking: Ranking) -> bool:
    return ranking.advised is not None and result.values == ranking.advised.values


def _diverged_text(result: Result) -> str:
    return f"{result.num_diverged} of {len(result.losses)} diverged" if result.num_diverged else ""


def _finite_losses(result: Result) -> list[float]:
    return [loss for loss in result.losses.values() if math.isfinite(loss)]


def _draw_curves(
    axis: Axes,
    runs: Sequence[CellRuns],
    results: Sequence[Result],
    ranking: Ranking,
    evaluated_on: str,
    time: str,
) -> None:
    order = sorted(range(len(results)), key=lambda index: results[index].loss)
    shown = order[: len(_COLOURS)]
    for colour, index in zip(_COLOURS, shown, strict=False):
        taken = _is_taken(results[index], ranking)
        notes = [*(["taken"] if taken else []), *filter(None, [_diverged_text(results[index])])]
        note = f" ({', '.join(notes)})" if notes else ""
        label = f"{format_values(runs[index].cell.values)}{note}"
        axis.plot([], [], color=colour, linewidth=2.6 if taken else 1.5, label=label)
        has_band = len(shown) <= _MOST_BANDS and not results[index].num_diverged
        _draw_cell(axis, runs[index], time, colour, taken=taken, band=has_band)
    more = "" if len(shown) == len(results) else f", the best {len(shown)} of {len(results)} cells"
    plain(axis).set_ylabel(f"{evaluated_on} loss{more}")
    low, high = axis.dataLim.intervaly
    if 0 < 2 * low <= high < math.inf:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 6)))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter("{x:g}")


def _name_curves(axis: Axes) -> None:
    """Names the cells below their curves."""
    labels = [str(line.get_label()) for line in axis.get_lines()]
    # About 80 characters fit in a line; an entry takes 7 more than its name.
    ncols = max(1, 80 // (7 + max(map(len, labels))))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": ncols}
    axis.legend(**below, frameon=False, fontsize=9)


def _draw_cell(
    axis: Axes, runs: CellRuns, time: str, colour: str, *, taken: bool, band: bool
) -> None:
    """Plots the mean over a cell's runs, or each run if one diverged."""
    rows = [record.evaluations for record in runs.records]
    times = [[row[time] for row in run] for run in rows]
    losses = [np.array([row["test_loss"] for row in run], np.float64) for run in rows]
    width = 2.6 if taken else 1.5
    ends = [record.end["status"] if record.end else "" for record in runs.records]
    if "diverged" in ends:
        for x, values, end in zip(times, losses, ends, strict=True):
            axis.plot(x, values, color=colour, linewidth=0.8)
            if end == "diverged" and x:
                axis.plot(x[-1], values[-1], "x", color=colour, markersize=9, mew=2)
    elif length := min(map(len, losses)):
        cut = np.array([values[:length] for values in losses])
        x = np.mean([run[:length] for run in times], axis=0)
        axis.plot(x, cut.mean(axis=0), color=colour, linewidth=width)
        if band:
            edges = cut.min(axis=0), cut.max(axis=0)
            axis.fill_between(x, *edges, color=colour, alpha=0.15, linewidth=0)


def _draw_line(axis: Axes, name: str, results: Sequence[Result], ranking: Ranking) -> None:
    """Plots the last losses against one value: a dot for each seed, a line through their means."""
    places = _places([r.values[name] for r in results])
    known = sorted((r for r in results if not r.num_diverged), key=lambda r: places[r.values[name]])
    for result in results:
        seeds = _finite_losses(result)
        x = [places[result.values[name]]] * len(seeds)
        axis.plot(x, seeds, ".", color=COLOURS[0], alpha=0.6, markersize=7)
    # A value of 0 stands apart on a logarithmic axis, so that no line leads to it.
    joined = [r for r in known if r.values[name] != 0]
    axis.plot([places[r.values[name]] for r in joined], [r.loss for r in joined], color=COLOURS[0])
    for result in known:
        x = places[result.values[name]]
        axis.errorbar(
            x, result.loss, yerr=result.loss_sd or 0.0, fmt="o", color=COLOURS[0], capsize=4
        )
        if _is_taken(result, ranking):
            axis.plot(x, result.loss, "o", **_TAKEN)
    if not any(map(_finite_losses, results)):
        axis.set_yticks([])
    _cross_out(axis, {places[r.values[name]]: _diverged_text(r) for r in results})
    several = max(len(r.losses) for r in results) > 1
    axis.plot([], [], ".", color=COLOURS[0], alpha=0.6, markersize=7, label="a seed")
    label = "mean ± standard deviation over seeds" if several else "the only seed"
    axis.plot([], [], "o-", color=COLOURS[0], label=label)
    axis.plot([], [], "o", **_TAKEN, label="taken")
    plain(axis).set_xlabel(title(name))
    axis.set_xticks(list(places.values()), [text_of(value) for value in places], rotation=30)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 3}
    axis.legend(**below, frameon=False, fontsize=9)


def _cross_out(axis: Axes, texts: dict[float, str]) -> None:
    """Writes at each position with a text that its runs diverged, above all losses."""
    for position, text in texts.items():
        if text:
            axis.axvline(position, color=COLOURS[1], linestyle=":", linewidth=1.2, zorder=0)
            axis.annotate(
                f"{_CROSS} {text}", (position, 0.98), xycoords=axis.get_xaxis_transform(),
                rotation=90, ha="right", va="top", color=COLOURS[1], fontsize=9,
            )  # fmt: skip


def _draw_map(
    figure: Figure,
    axis: Axes,
    names: Sequence[str],
    results: Sequence[Result],
    ranking: Ranking,
    evaluated_on: str,
) -> None:
    """Plots the last loss over two values, as numbers on colours; a frame is around the taken."""
    rows, columns = (sorted({r.values[name] for r in results}) for name in names)
    means = np.full((len(rows), len(columns)), np.nan)
    places = {
        (rows.index(r.values[names[0]]), columns.index(r.values[names[1]])): r for r in results
    }
    for place, result in places.items():
        means[place] = result.loss if math.isfinite(result.loss) else np.nan
    image = axis.imshow(means, cmap="cividis_r", aspect="auto", origin="lower")
    axis.set_facecolor("0.92")  # of what diverged or was not run
    finite = means[np.isfinite(means)]
    middle = (finite.min() + finite.max()) / 2 if len(finite) else math.nan
    for (row, column), result in places.items():
        text = (
            f"{_CROSS}\n{_diverged_text(result)}" if result.num_diverged else f"{result.loss:.3g}"
        )
        spread = "" if result.loss_sd is None else f"\n± {result.loss_sd:.2g}"
        taken = _is_taken(result, ranking)
        axis.text(
            column, row, f"{text}{spread}{chr(10) + 'taken' if taken else ''}",
            ha="center", va="center", fontsize=9, fontweight="bold" if taken else "normal",
            color="white" if result.loss > middle and not result.num_diverged else "black",
        )  # fmt: skip
        if taken:
            frame = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, linewidth=2.5)
            axis.add_patch(frame)
    axis.set_xticks(range(len(columns)), [text_of(value) for value in columns])
    axis.set_yticks(range(len(rows)), [text_of(value) for value in rows])
    axis.set(xlabel=title(names[1]), ylabel=title(names[0]))
    axis.spines[:].set_visible(False)
    axis.set_title("mean ± standard deviation over seeds", fontsize=10)
    figure.colorbar(image, ax=axis, label=f"last {evaluated_on} loss", pad=0.02)


def _draw_rows(axis: Axes, results: Sequence[Result], ranking: Ranking) -> None:
    """Plots the last losses of each cell in a row of its curve's colour, the lowest at the top."""
    shown = sorted(results, key=lambda r: r.loss)[:_MOST_ROWS]
    colours = (*_COLOURS, *["0.5"] * len(shown))  # grey: those without a curve
    for row, (result, colour) in enumerate(zip(shown, colours, strict=False)):
        seeds = _finite_losses(result)
        axis.plot(seeds, [row] * len(seeds), ".", color=colour, alpha=0.6, markersize=7)
        if not result.num_diverged:
            axis.plot(result.loss, row, "|", color=colour, markersize=14, mew=2)
        elif text := _diverged_text(result):
            axis.annotate(
                f"{_CROSS} {text}", (0.99, row), xycoords=axis.get_yaxis_transform(),
                ha="right", va="center", color=COLOURS[1], fontsize=9,
            )  # fmt: skip
        if _is_taken(result, ranking):
            axis.plot(result.loss, row, "o", **_TAKEN)
    taken = [_is_taken(result, ranking) for result in shown]
    names = [
        f"{format_values(r.values)}{' (taken)' if t else ''}"
        for r, t in zip(shown, taken, strict=True)
    ]
    axis.set_yticks(range(len(shown)), names, fontsize=8)
    axis.set_ylim(len(shown) - 0.5, -0.5)
    left_out = len(results) - len(shown)
    more = f"; {left_out} cells with higher losses are left out" if left_out else ""
    plain(axis).set_title(f"dots: seeds, bars: their means{more}", fontsize=10)


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
