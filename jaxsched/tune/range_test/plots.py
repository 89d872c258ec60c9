"""Plots a range test: the curves, what each rule reads off them, and why one is recommended."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.smoothing import centred_mean
from jaxsched.lr_finder.suggest import MAXIMUM_RULE, Suggestion, Suggestions
from jaxsched.plotting.style import COLOURS, colour, plain, save_figure
from jaxsched.tune.range_test.range_test import RangeTest
from jaxsched.tune.report import Report

LABELS = {"lr": "learning rate", "momentum": "momentum"}

# What each rule reads, from the left of a usual curve to its right.
_RULES = {
    "smith_min": "starts to fall (smith_min)",
    "steepest": "falls fastest (steepest)",
    "valley": "middle of the fall (valley)",
    "minimum_tenth": "a tenth of the lowest (minimum_tenth)",
    "bottom": "middle of the bottom (bottom)",
    "smith_max": "leaves the bottom (smith_max)",
}
_LOWEST, _DIVERGED = "lowest smoothed loss", "diverged"
_RAW: dict[str, Any] = {"linestyle": "", "marker": ".", "markersize": 3, "alpha": 0.4}
_HELD_OUT: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": "none",
}
_DASHED: dict[str, Any] = {"linestyle": (0, (5, 1.5))}
_CAPTION_WIDTH = 124  # characters of the caption in a line


class _Mark(NamedTuple):
    """A line of the upper panel: a feature of the curves and where each seed has it."""

    label: str
    values: tuple[float | None, ...]

    @property
    def median(self) -> float | None:
        return Suggestion(self.values).median


def draw_range(
    report: Report,
    test: RangeTest,
    curves: Sequence[RangeCurve],
    suggestions: Suggestions,
    path: Path,
) -> None:
    """Plots what the rules read, and below it the losses and accuracies that they read it off.

    Each seed has a colour: its updates are dots, and their centred mean is a line; its losses on
    held-out examples are circles, and theirs is dashed. In the upper panel a dot is a seed's answer
    and a bar their median, which is written beside it.

    Args:
        report: the heading, and the sentences that the caption starts with.
        test: the range test.
        curves: one curve for each seed.
        suggestions: what is suggested by them, or by their validation losses.
        path: the image file to write.
    """
    has_accuracy = any(curve.accuracies is not None for curve in curves)
    marks = _marks(test, curves, suggestions)
    heights = [0.4 + 0.25 * len(marks), 2.6, *([1.9] if has_accuracy else [])]
    figure = Figure(figsize=(9.5, sum(heights) + 1.8), layout="constrained")
    upper, loss, *others = figure.subplots(
        len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights}
    )
    if test.axis == "log":
        upper.set_xscale("log")  # for all, which share the axis
    _draw_losses(loss, curves)
    for accuracy in others:
        _draw_accuracies(accuracy, curves)
    upper.set_xlim(*_limits(curves, test))
    _draw_marks(upper, marks)
    for axis in (upper, loss, *others):
        plain(axis)
        for mark in marks:
            if mark.median is not None:
                is_recommended = mark.label == _RULES[MAXIMUM_RULE]
                style = ("black", 1.4, "-") if is_recommended else ("0.6", 0.8, ":")
                axis.axvline(mark.median, color=style[0], lw=style[1], ls=style[2], zorder=1)
    (others or [loss])[-1].set_xlabel(LABELS[test.of])
    figure.suptitle(report.heading)
    figure.supxlabel(_caption(report, curves), fontsize=9.5, ha="left", x=0.01)
    place = {"loc": "lower center", "bbox_to_anchor": (0.3, 1.0), "ncols": 5}
    upper.legend(handles=_legend(test, curves), frameon=False, fontsize=9, **place)
    save_figure(figure, path)


def _marks(test: RangeTest, curves: Sequence[RangeCurve], suggestions: Suggestions) -> list[_Mark]:
    """The features to show, from the bottom of the panel to its top."""
    diverged = tuple(
        None if c.diverged_at is None else float(c.values[c.diverged_at]) for c in curves
    )
    lowest = tuple(curve.lowest_at for curve in suggestions.curves)
    marks = [_Mark(_DIVERGED, diverged), _Mark(_LOWEST, lowest)]
    if test.of != "lr":
        return marks
    rules = [
        _Mark(label, tuple(suggestions.by_rule[rule].values)) for rule, label in _RULES.items()
    ]
    # The order of the curve's own features, where they have one.
    return [marks[0], *reversed([*rules[:4], marks[1], *rules[4:]])]


def _limits(curves: Sequence[RangeCurve], test: RangeTest) -> tuple[float, float]:
    """The ends of the axis: those of the curves, with some room for dots at them."""
    low, high = min(c.values[0] for c in curves), max(c.values[-1] for c in curves)
    if test.axis == "log":
        room = max((high / low) ** 0.015, 1.01)
        return low / room, high * room
    room = 0.015 * (high - low) or 0.01
    return low - room, high + room


def _draw_marks(axis: Axes, marks: Sequence[_Mark]) -> None:
    for row, mark in enumerate(marks):
        is_recommended = mark.label == _RULES[MAXIMUM_RULE]
        known = [value for value in mark.values if value is not None]
        for number, value in enumerate(mark.values):
            if value is not None:
                axis.plot(value, row, "o", color=colour(number), markersize=5, alpha=0.8)
        if mark.median is not None:
            axis.plot(mark.median, row, "|", color="black", markersize=11, markeredgewidth=1.6)
        _write_value(axis, row, mark, known, bold=is_recommended)
    axis.set_yticks(range(len(marks)), [mark.label for mark in marks], fontsize=9)
    for label, mark in zip(axis.get_yticklabels(), marks, strict=True):
        label.set_fontweight("bold" if mark.label == _RULES[MAXIMUM_RULE] else "normal")
    axis.set_ylim(-0.6, len(marks) - 0.4)
    axis.grid(visible=False, axis="y")


def _write_value(axis: Axes, row: int, mark: _Mark, known: Sequence[float], *, bold: bool) -> None:
    """Writes a feature's median beside its dots, on the side with more room."""
    low, high = axis.get_xlim()
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
    of_seeds = f"{len(known)} of {len(mark.values)} seeds"
    if mark.median is None:
        text = f"in {of_seeds}" if known else "never" if mark.label == _DIVERGED else "none"
    else:
        text = f"{mark.median:.3g}{'' if len(known) == len(mark.values) else f' ({of_seeds})'}"
    if bold and mark.median is not None:
        text = f"recommended maximum {text}"
    shown = [value for value in known if low <= value <= high]
    weight = "bold" if bold else "normal"
    style = {"va": "center", "fontsize": 9, "fontweight": weight, "bbox": box}
    to_axis = axis.transData + axis.transAxes.inverted()
    places = [to_axis.transform((value, row))[0] for value in shown]
    if not places:  # no answer, or one beyond the axis
        axis.text(0.01, row, text, transform=axis.get_yaxis_transform(), color="0.35", **style)
    elif max(places) + 0.014 * (2 + len(text)) < 1:  # a letter's width, a little more than needed
        axis.annotate(text, (max(shown), row), xytext=(8, 0), textcoords="offset points", **style)
    else:
        axis.annotate(
            text, (min(shown), row), xytext=(-8, 0), textcoords="offset points", ha="right", **style
        )


def _with_style(
    curves: Sequence[RangeCurve],
) -> Iterator[tuple[RangeCurve, dict[str, Any], dict[str, Any]]]:
    """Yields each curve, and its validation, with the style of its points and of their mean."""
    for number, curve in enumerate(curves):
        own = {"color": colour(number)}
        yield curve, {**_RAW, **own}, own
        if curve.validation is not None:
            yield curve.validation, {**_HELD_OUT, **own}, {**own, **_DASHED}


def _draw_losses(axis: Axes, curves: Sequence[RangeCurve]) -> None:
    for curve, points, line in _with_style(curves):
        finite = np.isfinite(curve.losses)
        axis.plot(curve.values[finite], curve.losses[finite], **points)
        axis.plot(curve.values[curve.looked_at], curve.smoothed, **line)
    axis.set_ylabel("loss")
    # The range of the losses before they diverge; a divergence would flatten all the rest.
    both = [curve for curve, _, _ in _with_style(curves)]
    parts = [curve.looked_at_losses for curve in both if curve.num_looked_at]
    if parts and (height := max(map(np.max, parts)) - min(map(np.min, parts))) > 0:
        low, high = min(map(np.min, parts)), max(map(np.max, parts))
        axis.set_ylim(low - 0.08 * height, high + 0.15 * height)


def _draw_accuracies(axis: Axes, curves: Sequence[RangeCurve]) -> None:
    for curve, points, line in _with_style(curves):
        if curve.accuracies is not None:
            per_cent = 100 * curve.accuracies
            axis.plot(curve.values, per_cent, **points)
            if curve.num_looked_at:
                shown = curve.looked_at
                axis.plot(curve.values[shown], centred_mean(per_cent[shown], curve.beta), **line)
    axis.set_ylabel("accuracy, %")


def _legend(test: RangeTest, curves: Sequence[RangeCurve]) -> list[Line2D]:
    """The colours of the seeds, and what dots, circles and lines are."""
    seeds = [
        Line2D([], [], color=colour(number), linewidth=4, label=f"seed {curve.seed}")
        for number, curve in enumerate(curves[: len(COLOURS)])
        if curve.seed is not None
    ]
    grey: dict[str, Any] = {"color": "0.35"}
    read = {test.reads: ": what the rules read"}
    raw = Line2D([], [], label="each update's batch (raw)", **{**_RAW, "markersize": 7, **grey})
    smoothed = Line2D([], [], label=f"smoothed{read.get('training', '')}", **grey)
    if test.validate_every is None:
        return [*seeds, raw, smoothed]
    points = Line2D([], [], label="validation", **{**_HELD_OUT, **grey})
    dashed = Line2D(
        [], [], label=f"smoothed validation{read.get('validation', '')}", **grey, **_DASHED
    )
    return [*seeds, raw, smoothed, points, dashed]


def _caption(report: Report, curves: Sequence[RangeCurve]) -> str:
    """Why the recommended value lies where it lies, and what the dots cannot show."""
    beyond = sum(int(np.count_nonzero(~np.isfinite(curve.losses))) for curve in curves)
    lost = f" {beyond} losses that are not finite are not drawn." if beyond else ""
    # The second sentence compares both losses, where there are both.
    said = report.statements[: 1 if curves[0].validation is None else 2]
    return textwrap.fill(f"{' '.join(said)}{lost}", _CAPTION_WIDTH)
