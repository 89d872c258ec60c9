"""Range tests of the learning rate at several values of another hyper-parameter, compared."""

import json
import math
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.rules import smith_max
from jaxsched.lr_finder.suggest import AGREEMENT_FACTOR, Suggestion
from jaxsched.lr_finder.trend import find_trend
from jaxsched.output import make_folder, write_text
from jaxsched.plotting.style import curve_style, plain, save_figure
from jaxsched.text import text_of, title
from jaxsched.tune.report import Report


@dataclass(frozen=True)
class ValueCurves:
    """The curves of the range test at one value.

    Attributes:
        value: the value.
        curves: one for each seed, of the losses that are to be read.
    """

    value: float
    curves: Sequence[RangeCurve]

    @cached_property
    def largest_rate(self) -> float | None:
        """The largest learning rate that the curves allow, the median over seeds; None if unknown.

        It is that of `smith_max`, or the last one where the loss is still at its lowest there.
        """
        return Suggestion(tuple(map(_largest_rate, self.curves))).median

    @property
    def lowest_loss(self) -> float:
        """The mean over seeds of the lowest smoothed loss; NaN without a loss."""
        lows = [float(curve.smoothed.min()) for curve in self.curves if curve.num_looked_at]
        return statistics.fmean(lows) if lows else math.nan


def _largest_rate(curve: RangeCurve) -> float | None:
    trend = find_trend(curve)
    if trend is None or trend.is_flat:
        return None
    end = smith_max(curve)
    return float(curve.values[-1]) if end is None else end


def taken_value(tests: Sequence[ValueCurves]) -> ValueCurves | None:
    """Returns the largest value whose curve still allows a large learning rate.

    Formula, with r the largest rate of each value:
        max {value : 3 r(value) ≥ max r}

    Args:
        tests: the curves at each value.

    Returns:
        That value with its curves; None if no curve suggests a rate.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.4; what counts as large is ours.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.tune.range_test.by_value import ValueCurves, taken_value
        >>> rates = np.geomspace(1e-4, 10, 200)
        >>> def losses(end):
        ...     noise = np.random.default_rng(0).normal(0, 0.05, 200)
        ...     return 2.3 - 1.5 / (1 + 0.01 / rates) + (rates / end) ** 4 + noise
        >>> ends = {1e-2: 0.05, 1e-3: 2.0, 1e-4: 3.0}
        >>> tests = [ValueCurves(v, [js.RangeCurve(rates, losses(end))]) for v, end in ends.items()]
        >>> taken_value(tests).value
        0.001
    """
    rates = {test.value: test.largest_rate for test in tests}
    largest = max((rate for rate in rates.values() if rate is not None), default=None)
    if largest is None:
        return None
    allowed = [t for t in tests if (rate := t.largest_rate) and AGREEMENT_FACTOR * rate >= largest]
    return max(allowed, key=lambda test: test.value)


def write_value_report(name: str, axis: str, tests: Sequence[ValueCurves], folder: Path) -> Report:
    """Writes `by_AXIS.json`, `.md` and `.png`; returns the report.

    Args:
        name: the name of the experiment.
        axis: the name of the values.
        tests: the curves at each value.
        folder: the folder to write to.
    """
    report = value_report(name, axis, tests)
    taken = taken_value(tests)
    content = {
        "name": name,
        "axis": axis,
        "taken": taken and taken.value,
        "values": [
            {
                "value": test.value,
                "largest_rate": test.largest_rate,
                "lowest_loss": None if math.isnan(test.lowest_loss) else test.lowest_loss,
                "seeds": [curve.seed for curve in test.curves],
            }
            for test in tests
        ],
        "statements": list(report.statements),
    }
    make_folder(folder)
    write_text(folder / f"by_{axis}.json", json.dumps(content, indent=2) + "\n")
    write_text(folder / f"by_{axis}.md", report.markdown)
    draw_values(report, axis, tests, folder / f"by_{axis}.png")
    return report


def value_report(name: str, axis: str, tests: Sequence[ValueCurves]) -> Report:
    """Returns which value is taken, and why, as a table and sentences."""
    taken = taken_value(tests)
    rows = [(title(axis), "largest rate", "lowest loss", "seeds", "")]
    for test in tests:
        rate, low = test.largest_rate, test.lowest_loss
        shown = "none" if rate is None else f"{rate:.3g}"
        loss = "none" if math.isnan(low) else f"{low:.4g}"
        mark = "taken" if test is taken else ""
        rows.append((text_of(test.value), shown, loss, str(len(test.curves)), mark))
    heading = f"{name}: range tests of the learning rate at several values of {title(axis)}"
    return Report(heading, rows, _statements(axis, tests, taken), num_values=1)


def _statements(axis: str, tests: Sequence[ValueCurves], taken: ValueCurves | None) -> list[str]:
    if taken is None:
        return [
            "No value is taken: no curve suggests a learning rate. Widen the range, take more "
            "updates, or use larger batches."
        ]
    largest = max(tests, key=lambda test: test.largest_rate or 0.0)
    said = [
        f"Taken: {title(axis)} {text_of(taken.value)}, the largest whose curve still allows a "
        f"large learning rate, up to {taken.largest_rate:.3g}; the largest rate of all, "
        f"{largest.largest_rate:.3g}, is at {text_of(largest.value)}, and rates within a factor of "
        f"{AGREEMENT_FACTOR:g} count as large (Smith, arXiv 1803.09820, section 4.4)."
    ]
    if taken.value == max(test.value for test in tests):
        said.append("It is the largest tried; go on with larger ones.")
    if min(len(test.curves) for test in tests) == 1:
        said.append("One seed at a value shows no spread; run more seeds.")
    return said


def draw_values(report: Report, axis: str, tests: Sequence[ValueCurves], path: Path) -> None:
    """Plots the smoothed losses of all values over each other, and the largest rate of each.

    Args:
        report: the heading, and the sentences for the caption.
        axis: the name of the values.
        tests: the curves at each value.
        path: the image file to write.
    """
    taken = taken_value(tests)
    figure = Figure(figsize=(9.5, 6.2), layout="constrained")
    plot = plain(figure.subplots())
    lows, tops = [], []
    for number, test in enumerate(tests):
        style = {**curve_style(number), "linewidth": 2.6 if test is taken else 1.3}
        rate = test.largest_rate
        upto = "no rate" if rate is None else f"up to {rate:.3g}"
        note = " (taken)" if test is taken else ""
        plot.plot([], [], **style, label=f"{title(axis)} {text_of(test.value)}{note}: {upto}")
        for curve in test.curves:
            if curve.num_looked_at:
                plot.plot(curve.values[curve.looked_at], curve.smoothed, **style)
                lows.append(curve.smoothed.min())
                tops.append(np.max(curve.smoothed))
        if rate is not None:
            plot.axvline(rate, **{**style, "linewidth": 0.9, "linestyle": ":"})
    if lows and max(tops) > min(lows):
        height = max(tops) - min(lows)
        plot.set_ylim(min(lows) - 0.08 * height, max(tops) + 0.08 * height)
    if all(curve.axis == "log" for test in tests for curve in test.curves):
        plot.set_xscale("log")
    plot.set(xlabel="learning rate", ylabel="smoothed loss, a line for each seed")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "ncols": 2}
    plot.legend(**below, frameon=False, title="dotted: the largest rate that each allows")
    figure.suptitle(report.heading)
    figure.supxlabel(textwrap.fill(" ".join(report.statements), 124), fontsize=9.5)
    save_figure(figure, path)
