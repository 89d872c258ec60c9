"""Curves with bands, marks and labels."""

from collections.abc import Sequence

import altair as alt

from jaxsched.bench.report.page.charts.encodings import (
    IS_LIT,
    chart_of,
    chart_over_time,
    colours,
    dash_patterns,
    emphasis,
    tooltip,
    value,
    x_of_time,
    y_of,
)
from jaxsched.bench.report.page.charts.rows import ChartRows
from jaxsched.bench.report.page.charts.ticks import Ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.statistics import PerformanceProfile

_FEW = 5  # bands of more experiments would cover each other

# Curves that do not count, such as those of raw weights beside averaged ones, have false in
# the field "counts".
_COUNTS = "datum.counts !== false"


def curve_layers(
    names: Sequence[str],
    ticks: Ticks,
    form: str,
    units: TimeUnits,
    *,
    weights: bool = False,
) -> list[alt.Chart]:
    """Makes the layers of medians with bands of their middle half, from the dataset "points".

    Args:
        names: the experiments, in their order.
        ticks: the vertical axis.
        form: the format of numbers in tooltips, in D3's notation.
        units: the units of time.
        weights: whether the rows say of which weights they are.
    """
    chart, x, y = chart_over_time("points", units), x_of_time(), y_of("median", ticks)
    color, detail = colours(names), alt.Detail("weights:N")
    band = chart.transform_filter(_COUNTS).mark_area(clip=True)
    line = chart.mark_line(clip=True, strokeJoin="round")
    points = chart.mark_circle(size=60, clip=True)  # mostly invisible: they carry the tooltips
    shade = f"lit === datum.experiment ? 0.22 : lit === null && length(shown) <= {_FEW} ? 0.14 : 0"
    return [
        band.encode(
            x=x,
            y=y_of("low", ticks),
            y2=alt.Y2("high:Q"),
            color=color,
            detail=detail,
            opacity=value(shade),
        ),
        line.encode(
            x=x,
            y=y,
            color=color,
            strokeDash=dash_patterns(names),
            detail=detail,
            strokeWidth=value(f"{_COUNTS} ? 2.25 : 1.25"),
            opacity=emphasis(f"({_COUNTS} ? 1 : 0.7)"),
        ),
        points.encode(
            x=x,
            y=y,
            color=color,
            opacity=value(f"datum.alone === true && ({IS_LIT}) ? 1 : 0"),
            tooltip=[
                *tooltip(("median", "low", "high"), form),
                alt.Tooltip("n:Q"),
                *([alt.Tooltip("weights:N")] if weights else []),
            ],
            description=value(f"datum.experiment + ': ' + format(datum.median, '{form}')"),
        ),
    ]


def ring_layer(names: Sequence[str], ticks: Ticks, units: TimeUnits) -> alt.Chart:
    """Makes the layer of rings that mark averaged weights, from the dataset "rings"."""
    rings = chart_over_time("rings", units).mark_point(
        shape="circle", filled=False, size=45, strokeWidth=1.75, clip=True
    )
    return rings.encode(
        x=x_of_time(), y=y_of("median", ticks), color=colours(names), opacity=emphasis()
    )


def profile_layer(
    profile: PerformanceProfile, names: Sequence[str], ticks: Ticks, time: str
) -> tuple[alt.Chart, ChartRows]:
    """Makes the layer of a performance profile, and the rows of its dataset "points".

    Args:
        profile: the performance profile.
        names: the experiments, in the order of their colours.
        ticks: the vertical axis, of shares.
        time: the label of the horizontal axis.
    """
    rows = [
        {"experiment": name, "tau": tau, "share": share}
        for name, shares in profile.shares.items()
        for tau, share in zip(profile.taus, shares, strict=True)
    ]
    multiples = alt.Scale(domain=[1, profile.taus[-1]], nice=False)
    layer = (
        chart_of("points")
        .mark_line(interpolate="step-after", strokeWidth=2.25)
        .encode(
            x=alt.X("tau:Q", title=time, scale=multiples, axis=alt.Axis(tickCount=4, grid=False)),
            y=y_of("share", ticks),
            color=colours(names),
            strokeDash=dash_patterns(names),
            opacity=emphasis(),
            tooltip=tooltip(("share",), ".0%", time="tau"),
        )
    )
    return layer, rows
