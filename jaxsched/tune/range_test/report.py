"""Writes the report of a range test: a table, JSON and a plot."""

import json
from collections.abc import Sequence
from pathlib import Path

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.suggest import Suggestions, suggest
from jaxsched.output import make_folder, write_text
from jaxsched.tune.range_test.plots import LABELS, draw_range
from jaxsched.tune.range_test.range_test import RangeTest
from jaxsched.tune.report import Report


def write_range_report(
    name: str, test: RangeTest, curves: Sequence[RangeCurve], folder: Path
) -> Report:
    """Writes `range_test.json`, `range_test.md` and `range_test.png`; returns the report.

    Args:
        name: the name of the experiment.
        test: the range test.
        curves: one curve for each seed, also of runs that were interrupted.
        folder: the folder to write to.
    """
    suggestions = suggest(curves)
    report = range_report(name, test, suggestions)
    results = suggestions.as_dict()
    if test.of == "momentum":
        results = {"lowest_at": _lowest_at(curves), "statements": list(report.statements)}
    make_folder(folder)
    content = {"name": name, "of": test.of, "seeds": [curve.seed for curve in curves], **results}
    json_text = json.dumps(content, indent=2) + "\n"
    write_text(folder / "range_test.json", json_text)
    write_text(folder / "range_test.md", report.markdown)
    draw_range(report, test, suggestions, folder / "range_test.png")
    return report


def range_report(name: str, test: RangeTest, suggestions: Suggestions) -> Report:
    """Returns what the curves suggest, as a table and sentences."""
    heading = f"{name}: range test of the {LABELS[test.of]}, {test.low:g} to {test.high:g}"
    if test.of == "momentum":
        return Report(heading, [], [_momentum_statement(_lowest_at(suggestions.curves))])
    return Report(heading, suggestions.rows(), _statements(suggestions))


def _statements(suggestions: Suggestions) -> list[str]:
    """Why that rate is recommended, or why none is, and how far to trust it."""
    return list(dict.fromkeys([suggestions.reason, *suggestions.statements]))


def _lowest_at(curves: Sequence[RangeCurve]) -> list[float | None]:
    """The values at which each curve's smoothed loss is lowest; None for one without a loss."""
    return [
        float(curve.values[curve.looked_at][curve.smoothed.argmin()])
        if curve.num_looked_at
        else None
        for curve in curves
    ]


def _momentum_statement(lowest: Sequence[float | None]) -> str:
    """Why a range test of the momentum suggests no momentum, and what to do instead."""
    shown = ", ".join("none" if value is None else f"{value:.3g}" for value in lowest)
    return (
        f"The smoothed loss is lowest at momentum {shown} (one value for each seed). Do not "
        "read a momentum off this curve: the loss falls with time as well as with momentum (Smith, "
        "arXiv 1803.09820, section 4.3). Compare short runs instead: jaxsched grid CONFIG "
        "--momentum 0.85 0.9 0.95 0.99"
    )
