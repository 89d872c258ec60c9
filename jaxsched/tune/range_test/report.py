"""Writes the report of a range test: a table, JSON and a plot."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.suggest import Suggestions, suggest
from jaxsched.output import make_folder, write_text
from jaxsched.tune.range_test.plots import LABELS, draw_range
from jaxsched.tune.range_test.range_test import RangeTest
from jaxsched.tune.report import Report


def write_range_report(
    name: str,
    test: RangeTest,
    curves: Sequence[RangeCurve],
    folder: Path,
    *,
    evaluated_on: str = "validation",
) -> Report:
    """Writes `range_test.json`, `range_test.md` and `range_test.png`; returns the report.

    Args:
        name: the name of the experiment.
        test: the range test.
        curves: one curve for each seed, also of runs that were interrupted.
        folder: the folder to write to.
        evaluated_on: the examples of `RangeCurve.validation`: "validation" or "test".
    """
    report = range_report(name, test, curves, evaluated_on=evaluated_on)
    results: dict[str, Any] = judged(test, curves).as_dict()
    if test.validate_every is not None:
        results["by_loss"] = {kind: s.as_dict() for kind, s in _by_loss(curves).items()}
    if test.of == "momentum":
        results = {
            "lowest_at": [curve.lowest_at for curve in curves],
            "statements": list(report.statements),
        }
    make_folder(folder)
    content = {"name": name, "of": test.of, "seeds": [curve.seed for curve in curves], **results}
    json_text = json.dumps(content, indent=2) + "\n"
    write_text(folder / "range_test.json", json_text)
    write_text(folder / "range_test.md", report.markdown)
    draw_range(report, test, curves, judged(test, curves), folder / "range_test.png")
    return report


def judged(test: RangeTest, curves: Sequence[RangeCurve]) -> Suggestions:
    """Returns what the rules read off the losses that the test is judged by."""
    return _by_loss(curves)[test.reads]


def _by_loss(curves: Sequence[RangeCurve]) -> dict[str, Suggestions]:
    validation = [curve.validation for curve in curves if curve.validation is not None]
    found = {"training": suggest(curves)}
    return {**found, "validation": suggest(validation)} if validation else found


def range_report(
    name: str, test: RangeTest, curves: Sequence[RangeCurve], *, evaluated_on: str = "validation"
) -> Report:
    """Returns what the curves suggest, as a table and sentences."""
    heading = f"{name}: range test of the {LABELS[test.of]}, {test.low:g} to {test.high:g}"
    if test.of == "momentum":
        return Report(heading, [], [_momentum_statement([curve.lowest_at for curve in curves])])
    suggestions = judged(test, curves)
    also = [_both_losses(test, curves)] if test.validate_every is not None else []
    if also and evaluated_on == "test":
        also.append(
            "The validation losses are those of test examples, because this source cannot hold out "
            "training examples."
        )
    # Why that rate is recommended, or why none is, and how far to trust it.
    statements = dict.fromkeys([suggestions.reason, *also, *suggestions.statements])
    return Report(heading, suggestions.rows(), list(statements))


def _both_losses(test: RangeTest, curves: Sequence[RangeCurve]) -> str:
    """Says what the rule recommends by the training and by the validation loss."""
    maxima = {kind: suggestions.maximum for kind, suggestions in _by_loss(curves).items()}
    shown = {kind: "none" if m is None else f"{m:.3g}" for kind, m in maxima.items()}
    other = "training" if test.reads == "validation" else "validation"
    return (
        f"Read off the {test.reads} loss; off the {other} loss the same rule recommends "
        f"{shown.get(other, 'none')}."
    )


def _momentum_statement(lowest: Sequence[float | None]) -> str:
    """Why a range test of the momentum suggests no momentum, and what to do instead."""
    shown = ", ".join("none" if value is None else f"{value:.3g}" for value in lowest)
    return (
        f"The smoothed loss is lowest at momentum {shown} (one value for each seed). Do not "
        "read a momentum off this curve: the loss falls with time as well as with momentum (Smith, "
        "arXiv 1803.09820, section 4.3). Compare short runs instead: jaxsched grid CONFIG "
        "--momentum 0.85 0.9 0.95 0.99"
    )
