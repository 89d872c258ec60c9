"""The charts of the page, as Vega-Lite specifications.

They obey parameters that the page sets: `clock` (by what time is measured), `shown` (which
experiments are drawn) and `ink` (what is black on paper).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt
import numpy as np

from jaxsched.bench.curves import CLOCKS, Curve, Value, column, curve_of
from jaxsched.bench.records import Record
from jaxsched.bench.results import Results
from jaxsched.bench.statistics import reached_curve, times_to_target
from jaxsched.bench.style import colour, dashes
from jaxsched.noise import noise_scale

Rows: TypeAlias = list[dict[str, Any]]

# A screen shows no more, and the page stays small, whatever the numbers of evaluations and curves.
_MOST_POINTS, _MOST_ROWS = 250, 2500
_LARGE, _SMALL = 320, 170  # heights; widths are the reader's
_DOTS = [1.5, 3]  # of averages
_TIME = alt.expr(f"{dict(CLOCKS)}[clock]")
_INK = alt.expr("ink")


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
        _curve_rows(results, lambda of, name=name: column(name))
        for name in ("test_accuracy", "averaged_test_accuracy")
    )
    y = alt.Y(
        title="test accuracy",
        axis=alt.Axis(format="~%"),
        scale=alt.Scale(domainMin=_floor(raw, results), zero=False),
    )
    layers = _layers(results, y, ".2%")
    text = "The median over seeds, the band its middle half; the dashed line is the target."
    if averaged:
        line = _over_time("averaged").mark_line(strokeDash=_DOTS, strokeWidth=3, clip=True)
        layers.append(line.encode(x=_x(), y="median:Q", color=_colours(results)))
        text += " Dotted: the averaged weights."
    rule = alt.Chart(alt.NamedData("target")).mark_rule(strokeDash=[5, 4], color=_INK)
    layers.append(rule.encode(y="accuracy:Q"))
    target: Rows = [{"accuracy": results.target.accuracy}]
    datasets = {"points": raw, "averaged": averaged, "target": target}
    return Figure("Test accuracy", text, _spec(layers, datasets, results, _LARGE))


def _floor(rows: Rows, results: Results) -> float:
    """Where the axis begins: a first quarter from chance would flatten all the rest."""
    lowest = results.target.accuracy
    for name in results.outline.names:
        medians = [row["median"] for row in rows if row["experiment"] == name]
        lowest = min([lowest, *medians[len(medians) // 4 :]])
    return max(0.0, math.floor(100 * lowest - 2) / 100)


def reached_figure(results: Results) -> Figure:
    """The share of seeds that have reached the target, over time."""
    rows = [row for name in results.outline.names for row in _reached_rows(results, name)]
    chart = _chart("points").transform_filter("datum.clock == clock")
    y = alt.Y("share:Q", title="share of seeds", axis=alt.Axis(format="~%"), scale=_SHARES)
    x = alt.X("time:Q", title=None, axis=_TIME_AXIS)
    line = chart.mark_line(interpolate="step-after", strokeWidth=2)
    points = chart.transform_filter("isValid(datum.low)").mark_circle(size=50)
    tooltip = [
        "experiment:N",
        alt.Tooltip("time:Q", format=",.6~g"),
        *(alt.Tooltip(f"{name}:Q", format=".0%") for name in ("share", "low", "high")),
        "n:Q",
    ]
    layers = [
        line.encode(x=x, y=y, color=_colours(results), strokeDash=_dashes(results)),
        points.encode(x=x, y=y, color=_colours(results), tooltip=tooltip),
    ]
    text = (
        "Each step is a seed that got there. A point carries the exact 95 % interval of its share, "
        "which is wide where seeds are few."
    )
    spec = _spec(layers, {"points": rows}, results, _LARGE)
    return Figure("Seeds that have reached the target", text, spec)


def _reached_rows(results: Results, name: str) -> Rows:
    """The curve's corners by each clock, from nobody to the end of the longest run."""
    runs, rows = results.runs_of(name), []
    for clock in CLOCKS if runs else ():
        curve = reached_curve(times_to_target(runs, results.target.accuracy, clock))
        end = max(r.evaluations[-1][clock] for r in results.records if r.evaluations)
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
    line = _chart("points").mark_line(interpolate="step-after", strokeWidth=2)
    line = line.encode(
        x=alt.X("tau:Q", title="updates, as a multiple of the fewest", scale=multiples),
        y=alt.Y("share:Q", title="share of targets", axis=alt.Axis(format="~%"), scale=_SHARES),
        color=_colours(results),
        strokeDash=_dashes(results),
        tooltip=["experiment:N", alt.Tooltip("tau:Q", format=".2f"), "share:Q"],
    )
    text = (
        "On what share of the targets an experiment needed at most so many times the updates of "
        "the fastest, by medians over seeds. Higher is better."
    )
    spec = _spec([line], {"points": rows}, results, _LARGE, by_clock=False)
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
        rows = _curve_rows(results, value_of)
        values = {_short(row["median"]) for row in rows}
        if len(values) == 1:
            figures.append(Figure(title, f"{values.pop():,g} throughout, in all of them.", None))
        elif rows:
            falls = title == _NOISE_SCALE  # over a run, by orders of magnitude
            scale = alt.Scale(type="log") if falls else alt.Scale(zero=False)
            axis = alt.Axis(tickCount=5, format="~g" if falls else "")
            layers = _layers(results, alt.Y(title=None, scale=scale, axis=axis), ".4~g")
            spec = _spec(layers, {"points": rows}, results, _SMALL)
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
    rows = _curve_rows(results, lambda of: column("squared_norm"))
    if not rows:
        return None
    y = alt.Y(title="|w|²", scale=alt.Scale(zero=False))
    text = (
        "The squared norm of all weights. Where it falls and rises again, decaying more than once "
        "is worth it (Lewkowycz, arXiv 2103.12682)."
    )
    layers = _layers(results, y, ".4~g")
    return Figure("Weight norm", text, _spec(layers, {"points": rows}, results, _LARGE))


_SHARES = alt.Scale(domain=[0, 1])
_TIME_AXIS = alt.Axis(format="~s", grid=False, tickCount=8)


def _chart(dataset: str) -> alt.Chart:
    """A chart of the experiments that are shown."""
    shown = "indexof(shown, datum.experiment) >= 0"
    return alt.Chart(alt.NamedData(dataset)).transform_filter(shown)


def _over_time(dataset: str) -> alt.Chart:
    """Likewise, of rows that have all clocks."""
    return _chart(dataset).transform_calculate(time="datum[clock]")


def _short(value: Any) -> Any:
    """Six digits tell pixels apart."""
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def _x() -> alt.X:
    return alt.X("time:Q", title=None, axis=_TIME_AXIS)


def _colours(results: Results) -> alt.Color:
    names = list(results.outline.names)
    scale = alt.Scale(domain=names, range=[colour(number) for number in range(len(names))])
    return alt.Color("experiment:N", scale=scale, legend=None)


def _dashes(results: Results) -> alt.StrokeDash:
    names = list(results.outline.names)
    # Vega has no empty one: a solid line is a dash without a gap.
    lengths = [list(dashes(number)) or [1, 0] for number in range(len(names))]
    scale = alt.Scale(domain=names, range=lengths)
    return alt.StrokeDash("experiment:N", scale=scale, legend=None)


def _layers(results: Results, y: alt.Y, form: str) -> list[alt.Chart]:
    """Medians with the band of the middle half."""
    chart = _over_time("points")
    of_low, of_median = (_with_field(y, f"{name}:Q") for name in ("low", "median"))
    tooltip = [
        "experiment:N",
        alt.Tooltip("time:Q", format=",.6~g"),
        *(alt.Tooltip(f"{name}:Q", format=form) for name in ("median", "low", "high")),
        "n:Q",
    ]
    x, colours = _x(), _colours(results)
    band = chart.mark_area(opacity=0.15, clip=True)
    line = chart.mark_line(strokeWidth=2, clip=True)
    points = chart.mark_circle(size=60, opacity=0, clip=True)  # what a pointer finds
    return [
        band.encode(x=x, y=of_low, y2=alt.Y2("high:Q"), color=colours),
        line.encode(x=x, y=of_median, color=colours, strokeDash=_dashes(results)),
        points.encode(x=x, y=of_median, color=colours, tooltip=tooltip),
    ]


def _with_field(y: alt.Y, field: str) -> alt.Y:
    y = y.copy()
    y.shorthand = field
    return y


def _curve_rows(results: Results, value_of: Callable[[Record], Value]) -> Rows:
    """The curves of a quantity: a row for each evaluation of each experiment."""
    rows, names = [], results.outline.names
    most = min(_MOST_POINTS, max(2, _MOST_ROWS // len(names)))
    for name in names:
        runs = results.runs_of(name)
        curve = curve_of(runs, value_of(runs[0])) if runs else None
        if curve is not None:
            rows += [{"experiment": name, **point} for point in _points(curve, most)]
    return rows


def _points(curve: Curve, most: int) -> Rows:
    last = len(curve.median) - 1
    indices = np.unique(np.linspace(0, last, min(last + 1, most)).astype(int)).tolist()
    return [
        {
            **{clock: times[index] for clock, times in curve.times.items()},
            "low": curve.low[index],
            "median": curve.median[index],
            "high": curve.high[index],
            "n": curve.n,
        }
        for index in indices
    ]


def _spec(
    layers: Sequence[alt.Chart],
    datasets: Mapping[str, Rows],
    results: Results,
    height: int,
    *,
    by_clock: bool = True,
) -> Mapping[str, Any]:
    """The layers as one chart, as wide as its place, which draws the controls' choice."""
    parameters = [
        alt.param("clock", value=next(iter(CLOCKS))),
        alt.param("shown", value=list(results.outline.names)),
        alt.param("ink", value="black"),
    ]
    # An axis has no title that follows a parameter; a chart has, and takes it to the bottom.
    title = alt.TitleParams(_TIME, orient="bottom", anchor="middle", fontWeight="normal")
    chart = alt.layer(*layers).add_params(*parameters)
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = chart.properties(width="container", height=height, autosize=fitted)
    spec = (chart.properties(title=title) if by_clock else chart).to_dict()
    # Not through Altair, which would hold each number against its schema.
    short = {
        name: [{key: _short(value) for key, value in row.items()} for row in rows]
        for name, rows in datasets.items()
    }
    return {**spec, "datasets": short}
