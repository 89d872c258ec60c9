"""The parts that the page's charts share, in Vega-Lite.

The charts depend on parameters that the page sets: `time_axis` (the field of an evaluation that
measures time), `shown` (the experiments to draw) and `ink` (the colour of text, black in a light
theme).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt
import numpy as np

from jaxsched.bench.report.curves import TIME_AXES, Curve, Value, curve_of
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import PerformanceProfile
from jaxsched.plotting.style import colour, dashes
from jaxsched.tracking.records import Record

ChartRows: TypeAlias = list[dict[str, Any]]

# No screen shows more points, and the page stays small however many evaluations and curves exist.
_MOST_POINTS, _MOST_ROWS = 250, 2500
_TIME_LABEL = alt.expr(f"{dict(TIME_AXES)}[time_axis]")
_TIME_TICKS = alt.Axis(format="~s", grid=False, tickCount=8)


def chart_of(dataset: str) -> alt.Chart:
    """Makes a chart of a dataset's rows, of the experiments that are shown."""
    shown = "indexof(shown, datum.experiment) >= 0"
    return alt.Chart(alt.NamedData(dataset)).transform_filter(shown)


def chart_over_time(dataset: str) -> alt.Chart:
    """Makes such a chart with a field `time`; the rows need a field for each axis of time."""
    return chart_of(dataset).transform_calculate(time="datum[time_axis]")


def short(value: Any) -> Any:
    """Rounds a float to six digits, which is finer than a pixel; keeps other values."""
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def x_of_time() -> alt.X:
    """Makes the horizontal axis of rows with a field `time`; the chart's title labels it."""
    return alt.X("time:Q", title=None, axis=_TIME_TICKS)


def colours(names: Sequence[str]) -> alt.Color:
    """Makes the encoding of each experiment's colour."""
    scale = alt.Scale(domain=list(names), range=[colour(number) for number in range(len(names))])
    return alt.Color("experiment:N", scale=scale, legend=None)


def dash_patterns(names: Sequence[str]) -> alt.StrokeDash:
    """Makes the encoding of each experiment's dashes."""
    # Vega takes no empty pattern: a solid line is a dash without a gap.
    patterns = [list(dashes(number)) or [1, 0] for number in range(len(names))]
    scale = alt.Scale(domain=list(names), range=patterns)
    return alt.StrokeDash("experiment:N", scale=scale, legend=None)


def tooltip(names: Sequence[str], form: str) -> list[alt.Tooltip]:
    """Makes a point's tooltip: its experiment, its time, these fields and the number of runs."""
    return [
        alt.Tooltip("experiment:N"),
        alt.Tooltip("time:Q", format=",.6~g"),
        *(alt.Tooltip(f"{name}:Q", format=form) for name in names),
        alt.Tooltip("n:Q"),
    ]


def median_layers(names: Sequence[str], y: alt.Y, form: str) -> list[alt.Chart]:
    """Makes the layers of medians with bands of their middle half, from the dataset "points".

    Args:
        names: the experiments, in their order.
        y: the vertical axis, without a field.
        form: the format of numbers in tooltips, in D3's notation.
    """
    chart = chart_over_time("points")
    y_low, y_median = (_with_field(y, f"{name}:Q") for name in ("low", "median"))
    x, color = x_of_time(), colours(names)
    band = chart.mark_area(opacity=0.15, clip=True)
    line = chart.mark_line(strokeWidth=2, clip=True)
    points = chart.mark_circle(size=60, opacity=0, clip=True)  # invisible: they carry the tooltips
    return [
        band.encode(x=x, y=y_low, y2=alt.Y2("high:Q"), color=color),
        line.encode(x=x, y=y_median, color=color, strokeDash=dash_patterns(names)),
        points.encode(
            x=x, y=y_median, color=color, tooltip=tooltip(("median", "low", "high"), form)
        ),
    ]


def _with_field(y: alt.Y, field: str) -> alt.Y:
    y = y.copy()
    y.shorthand = field
    return y


def curve_rows(results: Results, value_of: Callable[[Record], Value]) -> ChartRows:
    """Makes the rows of a quantity's curves: one for each experiment and evaluation.

    Args:
        results: the study's results.
        value_of: returns, for a run, the function that reads the quantity from a row.
    """
    rows, names = [], results.manifest.names
    most = min(_MOST_POINTS, max(2, _MOST_ROWS // len(names)))
    for name in names:
        runs = results.runs_of(name)
        curve = curve_of(runs, value_of(runs[0])) if runs else None
        if curve is not None:
            rows += [{"experiment": name, **point} for point in _points(curve, most)]
    return rows


def _points(curve: Curve, most: int) -> ChartRows:
    """The curve's points, evenly thinned out to at most so many."""
    last = len(curve.median) - 1
    indices = np.unique(np.linspace(0, last, min(last + 1, most)).astype(int)).tolist()
    return [
        {
            **{time_axis: times[index] for time_axis, times in curve.times.items()},
            "low": curve.low[index],
            "median": curve.median[index],
            "high": curve.high[index],
            "n": curve.n,
        }
        for index in indices
    ]


def profile_layer(
    profile: PerformanceProfile, names: Sequence[str], tasks: str, time: str
) -> tuple[alt.Chart, ChartRows]:
    """Makes the layer of a performance profile, and the rows of its dataset "points".

    Args:
        profile: the performance profile.
        names: the experiments, in the order of their colours.
        tasks: what it is a share of, such as "targets".
        time: the label of the horizontal axis.
    """
    rows = [
        {"experiment": name, "tau": tau, "share": share}
        for name, shares in profile.shares.items()
        for tau, share in zip(profile.taus, shares, strict=True)
    ]
    multiples = alt.Scale(domain=[1, profile.taus[-1]], nice=False)
    shares = alt.Scale(domain=[0, 1])
    line = chart_of("points").mark_line(interpolate="step-after", strokeWidth=2)
    layer = line.encode(
        x=alt.X("tau:Q", title=time, scale=multiples),
        y=alt.Y("share:Q", title=f"share of {tasks}", axis=alt.Axis(format="~%"), scale=shares),
        color=colours(names),
        strokeDash=dash_patterns(names),
        tooltip=["experiment:N", alt.Tooltip("tau:Q", format=".2f"), "share:Q"],
    )
    return layer, rows


def specification(
    layers: Sequence[alt.Chart],
    datasets: Mapping[str, ChartRows],
    names: Sequence[str],
    height: int,
    *,
    over_time: bool = True,
) -> Mapping[str, Any]:
    """Combines layers to one chart, as wide as its place on the page.

    Args:
        layers: from the lowest to the highest.
        datasets: the rows, by the name that the layers use.
        names: the experiments, in their order.
        height: in pixels.
        over_time: whether the horizontal axis is time and needs the label of its unit.
    """
    parameters = [
        alt.param("time_axis", value=next(iter(TIME_AXES))),
        alt.param("shown", value=list(names)),
        alt.param("ink", value="black"),
    ]
    # An axis title cannot depend on a parameter, but a chart title can: it serves as the label.
    title = alt.TitleParams(_TIME_LABEL, orient="bottom", anchor="middle", fontWeight="normal")
    chart = alt.layer(*layers).add_params(*parameters)
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = chart.properties(width="container", height=height, autosize=fitted)
    spec = (chart.properties(title=title) if over_time else chart).to_dict()
    # Added after `to_dict`, because Altair would validate each number against its schema.
    values = {
        name: [{key: short(value) for key, value in row.items()} for row in rows]
        for name, rows in datasets.items()
    }
    return {**spec, "datasets": values}
