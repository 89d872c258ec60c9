"""How an experiment looks in a chart, and which experiments a chart shows.

A chart has parameters that the page sets: `time_axis` (the field of a row that measures time),
`shown` (the experiments to draw), `lit` (the experiment that the reader points at, or null),
`labelled` (whether there is room for labels at the ends of curves), and `ink` (the colour of text,
black in a light theme).
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from jaxsched.bench.report.page.charts.ticks import Ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.plotting.style import colour, dashes

# Whether a row's experiment is to be seen while the reader points at one.
IS_LIT = "lit === null || datum.experiment === lit"
_GREY = "#8b9199"
_FEW_TICKS = 3.5  # D3 makes 3 to 6 of them


def chart_of(dataset: str) -> alt.Chart:
    """Makes a chart of a dataset's rows, of the experiments that are shown."""
    shown = "indexof(shown, datum.experiment) >= 0"
    return alt.Chart(alt.NamedData(dataset)).transform_filter(shown)


def chart_over_time(dataset: str, units: TimeUnits) -> alt.Chart:
    """Makes such a chart with a field `time`; the rows need a field for each axis of time."""
    return chart_of(dataset).transform_calculate(time=units.time)


def x_of_time() -> alt.X:
    """Makes the horizontal axis of rows with a field `time`; the chart's title labels it."""
    # As an expression, because a format without a type would make 200 "2e+2".
    axis = alt.Axis(grid=False, tickCount=_FEW_TICKS, labelExpr="format(datum.value, ',')")
    # A mark at the end of time is whole.
    scale = alt.Scale(zero=True, nice=False, range=[0, alt.ExprRef("width - 5")])
    return alt.X("time:Q", title=None, axis=axis, scale=scale)


def y_of(field: str, ticks: Ticks) -> alt.Y:
    """Makes the vertical axis with these ticks; the figure's heading labels it."""
    ends = [ticks.low, ticks.high]
    scale = (
        alt.Scale(type="log", domain=ends) if ticks.is_log else alt.Scale(domain=ends, zero=False)
    )
    scale.nice = False
    axis = alt.Axis(values=list(ticks.values), format=ticks.form)
    return alt.Y(f"{field}:Q", title=None, scale=scale, axis=axis)


def colours(names: Sequence[str]) -> alt.Color:
    """Makes the encoding of each experiment's colour, grey while the reader points at another."""
    scale = alt.Scale(domain=list(names), range=[colour(number) for number in range(len(names))])
    grey = {"test": f"!({IS_LIT})", "value": _GREY}
    return alt.Color("experiment:N", scale=scale, legend=None, condition=grey)


def dash_patterns(names: Sequence[str]) -> alt.StrokeDash:
    """Makes the encoding of each experiment's dashes."""
    # Vega takes no empty pattern: a solid line is a dash without a gap.
    patterns = [list(dashes(number)) or [1, 0] for number in range(len(names))]
    scale = alt.Scale(domain=list(names), range=patterns)
    return alt.StrokeDash("experiment:N", scale=scale, legend=None)


def value(expression: str) -> Any:
    """Makes an encoding of an expression of Vega's, in which `datum` is the row."""
    return alt.value(alt.ExprRef(expression))


def emphasis(full: str = "1") -> Any:
    """Makes the encoding of opacity: this, and next to nothing while another is pointed at."""
    return value(f"({IS_LIT}) ? {full} : 0.15")


def tooltip(fields: Sequence[str], form: str, *, time: str = "time") -> list[alt.Tooltip]:
    """Makes a point's tooltip: its experiment, its time and these fields, if it has them."""
    return [
        alt.Tooltip("experiment:N"),
        alt.Tooltip(f"{time}:Q", format=",.6~g"),
        *(alt.Tooltip(f"{field}:Q", format=form) for field in fields),
    ]
