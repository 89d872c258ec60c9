"""Writes the report of a range test: a table, JSON and a plot."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.smoothing import centred_mean
from jaxsched.lr_finder.suggest import Suggestions, suggest
from jaxsched.output import make_folder, write_text
from jaxsched.plotting.style import COLOURS, plain, save_figure
from jaxsched.text import markdown_rows
from jaxsched.tune.range_test.range_test import RangeTest

_LABELS = {"lr": "learning rate", "momentum": "momentum"}


def write_range_report(
    name: str, test: RangeTest, curves: Sequence[RangeCurve], folder: Path
) -> str:
    """Writes `range_test.json`, `range_test.md` and `range_test.png`; returns the table as text.

    Args:
        name: the name of the experiment.
        test: the range test.
        curves: one curve for each seed, also of runs that were interrupted.
        folder: the folder to write to.
    """
    suggestions = suggest(curves)
    if test.of == "momentum":
        statement = _momentum_statement(curves)
        results = {"lowest_at": _lowest_at(curves), "statements": [statement]}
        text = markdown = statement + "\n"
    else:
        results = suggestions.as_dict()
        text, markdown = suggestions.table(), _markdown(name, test, suggestions)
    make_folder(folder)
    content = {"name": name, "of": test.of, "seeds": [curve.seed for curve in curves], **results}
    json_text = json.dumps(content, indent=2) + "\n"
    write_text(folder / "range_test.json", json_text)
    write_text(folder / "range_test.md", markdown)
    draw_range(name, test, suggestions, folder / "range_test.png")
    return text


def draw_range(name: str, test: RangeTest, suggestions: Suggestions, path: Path) -> None:
    """Plots loss and accuracy of the batches against the raised value, with the rules' suggestions.

    Each seed has a colour: its updates are dots, and their centred mean is a line.

    Args:
        name: the name of the experiment.
        test: the range test.
        suggestions: the suggestions, with the curves that they come from.
        path: the image file to write.
    """
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    has_accuracy = any(curve.accuracies is not None for curve in suggestions.curves)
    axes = figure.subplots(1, 1 + has_accuracy, squeeze=False)[0]
    loss, accuracy = axes[0], axes[-1]
    for number, curve in enumerate(suggestions.curves):
        colour = COLOURS[number % len(COLOURS)]
        shown = curve.looked_at
        values = curve.values[shown]
        label = f"seed {curve.seed}" if curve.seed is not None else None
        loss.plot(curve.values, curve.losses, ".", color=colour, markersize=2.5, alpha=0.35)
        loss.plot(values, curve.smoothed, color=colour, label=label)
        if curve.accuracies is not None:
            accuracies = 100 * curve.accuracies
            accuracy.plot(curve.values, accuracies, ".", color=colour, markersize=2.5, alpha=0.35)
            accuracy.plot(values, centred_mean(accuracies[shown], curve.beta), color=colour)
    # The range of the losses before they diverge; a divergence would flatten all the rest.
    tops = [curve.looked_at_losses.max() for curve in suggestions.curves if curve.num_looked_at]
    bottoms = [curve.smoothed.min() for curve in suggestions.curves if curve.num_looked_at]
    if tops and (height := max(tops) - min(bottoms)) > 0:
        loss.set_ylim(min(bottoms) - 0.15 * height, max(tops) + 0.1 * height)
    labels = ("loss of the batch", "accuracy of the batch, %")
    for axis, label in zip(axes, labels, strict=False):
        plain(axis).set(xlabel=_LABELS[test.of], ylabel=label)
        if test.axis == "log":
            axis.set_xscale("log")
        _mark_rules(axis, test, suggestions, named=axis is accuracy)
    figure.suptitle(f"{name}: range test")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    save_figure(figure, path)


def _mark_rules(axis: Axes, test: RangeTest, suggestions: Suggestions, *, named: bool) -> None:
    """Draws a dashed line at each rule's median, and a solid one at the recommended maximum."""
    if test.of != "lr":
        return
    dashes = [(0, (1, 1.5)), (0, (4, 2)), (0, (6, 2, 1, 2)), (0, (8, 3)), (0, (2, 3)), "-"]
    for (name, suggestion), dash in zip(suggestions.by_rule.items(), dashes, strict=True):
        if suggestion.median is not None:
            label = f"{name} {suggestion.median:.2g}" if named else None
            axis.axvline(
                suggestion.median, color="#444444", linewidth=1, linestyle=dash, label=label
            )
    if suggestions.maximum is not None:
        label = f"recommended maximum {suggestions.maximum:.2g}" if named else None
        axis.axvline(suggestions.maximum, color="black", linewidth=1.6, label=label)


def _lowest_at(curves: Sequence[RangeCurve]) -> list[float]:
    """The values at which each curve's smoothed loss is lowest."""
    return [float(curve.values[curve.looked_at][curve.smoothed.argmin()]) for curve in curves]


def _momentum_statement(curves: Sequence[RangeCurve]) -> str:
    """Why a range test of the momentum suggests no momentum, and what to do instead."""
    lowest = ", ".join(f"{value:.3g}" for value in _lowest_at(curves))
    return (
        f"The smoothed loss is lowest at momentum {lowest} (one value for each seed). Do not "
        "read a momentum off this curve: the loss falls with time as well as with momentum (Smith, "
        "arXiv 1803.09820, section 4.3). Compare short runs instead: jaxsched grid CONFIG "
        "--momentum 0.85 0.9 0.95 0.99"
    )


def _markdown(name: str, test: RangeTest, suggestions: Suggestions) -> str:
    """The table as Markdown, with the statements about it."""
    rows = [["rule", "median", "lowest", "highest", "seeds"]]
    for rule, suggestion in suggestions.by_rule.items():
        numbers = (suggestion.median, suggestion.lowest, suggestion.highest)
        shown = ["none" if number is None else f"{number:.3g}" for number in numbers]
        known = f"{len(suggestion.known)}/{len(suggestion.values)}"
        rows.append([rule, *shown, known])
    title = f"{name}: range test of the {_LABELS[test.of]}, {test.low:g} to {test.high:g}"
    statements = "".join(f"{statement}\n" for statement in suggestions.statements)
    return f"{title}\n\n{markdown_rows(rows)}\n{statements}"
