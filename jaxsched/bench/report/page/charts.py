"""How the charts of the page are built, in Vega-Lite.

They obey parameters that the page sets: `clock` (by what time is measured), `shown` (which
experiments are drawn) and `ink` (what is black on paper).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt
import numpy as np

from jaxsched.bench.report.curves import TIME_AXES, Curve, Value, curve_of
from jaxsched.bench.report.results import Results
from jaxsched.plotting.style import colour, dashes
from jaxsched.tracking.records import Record

ChartRows: TypeAlias = list[dict[str, Any]]

# A screen shows no more, and the page stays small, whatever the numbers of evaluations and curves.
_MOST_POINTS, _MOST_ROWS = 250, 2500
_TIME = alt.expr(f"{dict(TIME_AXES)}[clock]")
_TIME_AXIS = alt.Axis(format="~s", grid=False, tickCount=8)


def chart_of(dataset: str) -> alt.Chart:
    """A chart of the experiments that are shown."""
    shown = "indexof(shown, datum.experiment) >= 0"
    return alt.Chart(alt.NamedData(dataset)).transform_filter(shown)


def chart_over_time(dataset: str) -> alt.Chart:
    """Likewise, of rows that have all clocks."""
    return chart_of(dataset).transform_calculate(time="datum[clock]")


def short(value: Any) -> Any:
    """Six digits tell pixels apart."""
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def time_axis() -> alt.X:
    """Of rows with a `time`; the chart's title says by which clock."""
    return alt.X("time:Q", title=None, axis=_TIME_AXIS)


def colours(results: Results) -> alt.Color:
    """The colour of each experiment."""
    names = list(results.manifest.names)
    scale = alt.Scale(domain=names, range=[colour(number) for number in range(len(names))])
    return alt.Color("experiment:N", scale=scale, legend=None)


def dash_patterns(results: Results) -> alt.StrokeDash:
    """The dashes of each experiment's line."""
    names = list(results.manifest.names)
    # Vega has no empty one: a solid line is a dash without a gap.
    lengths = [list(dashes(number)) or [1, 0] for number in range(len(names))]
    scale = alt.Scale(domain=names, range=lengths)
    return alt.StrokeDash("experiment:N", scale=scale, legend=None)


def tooltip(names: Sequence[str], form: str) -> list[alt.Tooltip]:
    """What a pointer is told of a point: these fields of it, whose it is, when, and of how many."""
    return [
        alt.Tooltip("experiment:N"),
        alt.Tooltip("time:Q", format=",.6~g"),
        *(alt.Tooltip(f"{name}:Q", format=form) for name in names),
        alt.Tooltip("n:Q"),
    ]


def median_layers(results: Results, y: alt.Y, form: str) -> list[alt.Chart]:
    """Medians with the band of the middle half, of the dataset "points".

    Args:
        results: of the study.
        y: the axis, without a field.
        form: of numbers in tooltips, as D3 has it.
    """
    chart = chart_over_time("points")
    of_low, of_median = (_with_field(y, f"{name}:Q") for name in ("low", "median"))
    x, of_name = time_axis(), colours(results)
    band = chart.mark_area(opacity=0.15, clip=True)
    line = chart.mark_line(strokeWidth=2, clip=True)
    points = chart.mark_circle(size=60, opacity=0, clip=True)  # what a pointer finds
    return [
        band.encode(x=x, y=of_low, y2=alt.Y2("high:Q"), color=of_name),
        line.encode(x=x, y=of_median, color=of_name, strokeDash=dash_patterns(results)),
        points.encode(
            x=x, y=of_median, color=of_name, tooltip=tooltip(("median", "low", "high"), form)
        ),
    ]


def _with_field(y: alt.Y, field: str) -> alt.Y:
    y = y.copy()
    y.shorthand = field
    return y


def curve_rows(results: Results, value_of: Callable[[Record], Value]) -> ChartRows:
    """The curves of a quantity: a row for each evaluation of each experiment."""
    rows, names = [], results.manifest.names
    most = min(_MOST_POINTS, max(2, _MOST_ROWS // len(names)))
    for name in names:
        runs = results.runs_of(name)
        curve = curve_of(runs, value_of(runs[0])) if runs else None
        if curve is not None:
            rows += [{"experiment": name, **point} for point in _points(curve, most)]
    return rows


def _points(curve: Curve, most: int) -> ChartRows:
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


def specification(
    layers: Sequence[alt.Chart],
    datasets: Mapping[str, ChartRows],
    results: Results,
    height: int,
    *,
    by_clock: bool = True,
) -> Mapping[str, Any]:
    """The layers as one chart, as wide as its place, which draws the controls' choice.

    Args:
        layers: from the lowest up.
        datasets: rows, by the name that the layers call them by.
        results: of the study.
        height: in pixels.
        by_clock: whether the horizontal axis is time, and so named by the clock.
    """
    parameters = [
        alt.param("clock", value=next(iter(TIME_AXES))),
        alt.param("shown", value=list(results.manifest.names)),
        alt.param("ink", value="black"),
    ]
    # An axis has no title that follows a parameter; a chart has, and takes it to the bottom.
    title = alt.TitleParams(_TIME, orient="bottom", anchor="middle", fontWeight="normal")
    chart = alt.layer(*layers).add_params(*parameters)
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = chart.properties(width="container", height=height, autosize=fitted)
    spec = (chart.properties(title=title) if by_clock else chart).to_dict()
    # Not through Altair, which would hold each number against its schema.
    values = {
        name: [{key: short(value) for key, value in row.items()} for row in rows]
        for name, rows in datasets.items()
    }
    return {**spec, "datasets": values}
