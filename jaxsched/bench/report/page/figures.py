"""The figures of the page: what each shows, and how to read it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from jaxsched.batch_size.noise_scale import noise_scale
from jaxsched.bench.report.curves import TIME_AXES, Value, column, lowest_accuracy
from jaxsched.bench.report.page.charts import (
    ChartRows,
    chart_of,
    chart_over_time,
    colours,
    curve_rows,
    dash_patterns,
    median_layers,
    short,
    specification,
    time_axis,
    tooltip,
)
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis, reached_curve, times_to_target
from jaxsched.tracking.records import Record

_LARGE, _SMALL = 320, 170  # heights; widths are the reader's
_DOTS = [1.5, 3]  # of averages
_SHARES = alt.Scale(domain=[0, 1])


@dataclass(frozen=True)
class Figure:
    """A chart of the page.

    Attributes:
        title: what it shows.
        text: how to read it.
        spec: Vega-Lite; None where the text says it all.
    """

    title: str
    text: str
    spec: Mapping[str, Any] | None


def accuracy_figure(results: Results) -> Figure:
    """Test accuracy over time, raw and averaged, with the target."""
    raw, averaged = (
        curve_rows(results, lambda of, name=name: column(name))
        for name in ("test_accuracy", "averaged_test_accuracy")
    )
    lowest = lowest_accuracy(results)
    y = alt.Y(
        title="test accuracy",
        axis=alt.Axis(format="~%"),
        scale=alt.Scale(domainMin=max(0.0, math.floor(100 * lowest - 2) / 100), zero=False),
    )
    layers = median_layers(results, y, ".2%")
    text = "The median over seeds, the band its middle half; the dashed line is the target."
    if averaged:
        line = chart_over_time("averaged").mark_line(strokeDash=_DOTS, strokeWidth=3, clip=True)
        layers.append(line.encode(x=time_axis(), y="median:Q", color=colours(results)))
        text += " Dotted: the averaged weights."
    rule = alt.Chart(alt.NamedData("target")).mark_rule(strokeDash=[5, 4], color=alt.expr("ink"))
    layers.append(rule.encode(y="accuracy:Q"))
    target: ChartRows = [{"accuracy": results.target.accuracy}]
    datasets = {"points": raw, "averaged": averaged, "target": target}
    return Figure("Test accuracy", text, specification(layers, datasets, results, _LARGE))


def reached_figure(results: Results) -> Figure:
    """The share of seeds that have reached the target, over time."""
    rows = [row for name in results.manifest.names for row in _reached_rows(results, name)]
    chart = chart_of("points").transform_filter("datum.clock == clock")
    y = alt.Y("share:Q", title="share of seeds", axis=alt.Axis(format="~%"), scale=_SHARES)
    x = time_axis()
    line = chart.mark_line(interpolate="step-after", strokeWidth=2)
    points = chart.transform_filter("isValid(datum.low)").mark_circle(size=50)
    layers = [
        line.encode(x=x, y=y, color=colours(results), strokeDash=dash_patterns(results)),
        points.encode(
            x=x, y=y, color=colours(results), tooltip=tooltip(("share", "low", "high"), ".0%")
        ),
    ]
    text = (
        "Each step is a seed that got there. A point carries the exact 95 % interval of its share, "
        "which is wide where seeds are few."
    )
    spec = specification(layers, {"points": rows}, results, _LARGE)
    return Figure("Seeds that have reached the target", text, spec)


def _reached_rows(results: Results, name: str) -> ChartRows:
    """The curve's corners by each clock, from nobody to the end of the longest run."""
    runs, rows = results.runs_of(name), []
    for clock in TIME_AXES if runs else ():
        curve = reached_curve(times_to_target(runs, results.target.accuracy, clock))
        end = _longest(results, clock)
        corners = zip(curve.times, curve.shares, curve.low, curve.high, strict=True)
        of = {"experiment": name, "clock": clock, "n": curve.n}
        rows += [
            {**of, "time": 0, "share": 0},
            *(
                {**of, "time": time, "share": share, "low": low, "high": high}
                for time, share, low, high in corners
            ),
            {**of, "time": end, "share": curve.shares[-1] if curve.shares else 0},
        ]
    return rows


def _longest(results: Results, clock: TimeAxis) -> float:
    """When the longest run ended; 0 where none came to an evaluation."""
    lasts = [record.evaluations[-1] for record in results.records if record.evaluations]
    return max((row[clock] for row in lasts), default=0)


def profile_figure(results: Results) -> Figure | None:
    """The share of the targets reached within τ times the fewest updates; None with one target."""
    if results.profile is None:
        return None
    rows = [
        {"experiment": name, "tau": tau, "share": share}
        for name, shares in results.profile.shares.items()
        for tau, share in zip(results.profile.taus, shares, strict=True)
    ]
    multiples = alt.Scale(domain=[1, results.profile.taus[-1]], nice=False)
    line = chart_of("points").mark_line(interpolate="step-after", strokeWidth=2)
    line = line.encode(
        x=alt.X("tau:Q", title="updates, as a multiple of the fewest", scale=multiples),
        y=alt.Y("share:Q", title="share of targets", axis=alt.Axis(format="~%"), scale=_SHARES),
        color=colours(results),
        strokeDash=dash_patterns(results),
        tooltip=["experiment:N", alt.Tooltip("tau:Q", format=".2f"), "share:Q"],
    )
    text = (
        "On what share of the targets an experiment needed at most so many times the updates of "
        "the fastest, by medians over seeds. Higher is better."
    )
    spec = specification([line], {"points": rows}, results, _LARGE, by_clock=False)
    return Figure("Performance profile", text, spec)


_NOISE_SCALE = "noise scale g"
_SCHEDULES: Mapping[str, Callable[[Record], Value]] = {
    "learning rate": lambda of: column("learning_rate"),
    "momentum": lambda of: column("momentum"),
    "weight decay": lambda of: column("weight_decay"),
    "batch size": lambda of: column("batch_size"),
    _NOISE_SCALE: lambda of: _noise_scale(of),
}


def schedule_figures(results: Results) -> list[Figure]:
    """Every hyper-parameter as it was in force, and the noise scale g of SGD.

    One that never changed, in no experiment, is said in words.
    """
    figures = []
    for title, value_of in _SCHEDULES.items():
        rows = curve_rows(results, value_of)
        values = {short(row["median"]) for row in rows}
        if len(values) == 1:
            figures.append(Figure(title, f"{values.pop():,g} throughout, in all of them.", None))
        elif rows:
            falls = title == _NOISE_SCALE  # over a run, by orders of magnitude
            scale = alt.Scale(type="log") if falls else alt.Scale(zero=False)
            axis = alt.Axis(tickCount=5, format="~g" if falls else "")
            layers = median_layers(results, alt.Y(title=None, scale=scale, axis=axis), ".4~g")
            spec = specification(layers, {"points": rows}, results, _SMALL)
            figures.append(Figure(title, "", spec))
    return figures


def _noise_scale(record: Record) -> Value:
    """g from what the row's last update used; only SGD has one."""

    def value(row: Mapping[str, Any]) -> float | None:
        rate, momentum, batch_size = row["learning_rate"], row["momentum"], row["batch_size"]
        num_examples = round(row["examples"] / row["epoch"])
        is_known = record.header["config"]["optimizer"]["type"] == "SGD" and momentum < 1
        if not is_known or not rate > 0 or batch_size >= num_examples:
            return None  # and no logarithm
        return float(noise_scale(rate, batch_size, num_examples, momentum))

    return value


def norm_figure(results: Results) -> Figure | None:
    """|w|² over time; None where no record has it."""
    rows = curve_rows(results, lambda of: column("squared_norm"))
    if not rows:
        return None
    y = alt.Y(title="|w|²", scale=alt.Scale(zero=False))
    text = (
        "The squared norm of all weights. Where it falls and rises again, decaying more than once "
        "is worth it (Lewkowycz, arXiv 2103.12682)."
    )
    layers = median_layers(results, y, ".4~g")
    return Figure("Weight norm", text, specification(layers, {"points": rows}, results, _LARGE))
