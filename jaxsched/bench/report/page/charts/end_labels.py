"""Labels at the ends of curves that do not overlap."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from jaxsched.bench.report.page.charts.encodings import (
    IS_LIT,
    chart_of,
    chart_over_time,
    colours,
    emphasis,
    value,
    x_of_time,
    y_of,
)
from jaxsched.bench.report.page.charts.ticks import Ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits

_LINE = 15  # the height of a label, in pixels
_LEADER = 14  # the length of the line from a curve to its label, in pixels
_MOST_EXPERIMENTS, _MOST_LABELS, _LONGEST = 5, 8, 26
_EARLY = 0.95  # a curve that ends before this share of the time has its label where it ends


class End(NamedTuple):
    """The end of a curve."""

    experiment: str
    label: str
    value: float
    times: Mapping[str, float] = {}  # by axis of time


def labels(ends: Sequence[End], ticks: Ticks, height: int) -> list[dict[str, Any]]:
    """Places a label at the end of each curve; returns the rows of the dataset "labels".

    Labels stand beside the chart, without overlap; that of a curve that ends early stands where it
    ends, and its row has the time of that. There are none where there are more than five
    experiments or a name is long: the legend names them.

    Args:
        ends: the ends of all curves.
        ticks: the vertical axis.
        height: its height in pixels.
    """
    many = len({end.experiment for end in ends}) > _MOST_EXPERIMENTS or len(ends) > _MOST_LABELS
    if not ends or many or max(len(end.label) for end in ends) > _LONGEST:
        return []
    last = max(end.times.get("step", 0) for end in ends)
    early = [end for end in ends if end.times.get("step", last) < _EARLY * last]
    beside = [end for end in ends if end not in early]
    beside.sort(key=lambda end: (-ticks.place(end.value), end.label))
    places = _spread([height * (1 - ticks.place(end.value)) for end in beside], height)
    rows = [
        {
            "experiment": end.experiment,
            "label": end.label,
            "end": min(max(end.value, ticks.low), ticks.high),
        }
        for end in (*beside, *early)
    ]
    for row, place in zip(rows, places, strict=False):
        row["at"] = ticks.value(1 - place / height)
    for row, end in zip(rows[len(beside) :], early, strict=True):
        row.update(end.times)
    return rows


def label_layers(
    names: Sequence[str], ticks: Ticks, rows: Sequence[Mapping[str, Any]], units: TimeUnits | None
) -> list[alt.Chart]:
    """Makes the layers of labels, each with a line that leads from the end of its curve.

    Args:
        names: the experiments, in their order.
        ticks: the vertical axis.
        rows: those of the dataset "labels"; without any there are no layers.
        units: the units of time; None if the horizontal axis is not time.
    """
    layers = []
    colour, shade, ink = colours(names), emphasis(), alt.value(alt.ExprRef("ink"))
    style: dict[str, Any] = {"align": "left", "baseline": "middle", "fontSize": 12}
    if any("at" in row for row in rows):
        start, stop = value("width - 2"), value(f"width + {_LEADER}")
        chart = chart_of("labels").transform_filter("labelled && isValid(datum.at)")
        y, y2 = y_of("end", ticks), alt.Y2("at:Q")
        rule = chart.mark_rule(strokeWidth=2)
        layers += [
            rule.encode(x=start, x2=stop, y=y, y2=y2, color=colour, opacity=shade),
            chart.mark_text(**style, dx=3).encode(
                x=stop, y=y_of("at", ticks), text="label:N", color=ink, opacity=shade
            ),
        ]
    if units is not None and any("at" not in row for row in rows):
        chart = chart_over_time("labels", units)
        # The labels are hidden, not filtered: a chart warns of a time axis without rows.
        chart = chart.transform_filter("!isValid(datum.at)")
        y, shade = y_of("end", ticks), value(f"labelled && ({IS_LIT}) ? 1 : 0")
        layers += [
            chart.mark_circle(size=35, opacity=1).encode(
                x=x_of_time(), y=y, color=colour, opacity=shade
            ),
            chart.mark_text(**style, dx=7, dy=-4).encode(
                x=x_of_time(), y=y, text="label:N", color=ink, opacity=shade
            ),
        ]
    return layers


def _spread(places: Sequence[float], height: int) -> list[float]:
    """Moves ascending places as little as needed to be a line apart, within the height."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + _LINE if found else place))
    limit = float(height)
    for index in reversed(range(len(found))):
        found[index] = limit = min(found[index], limit)
        limit -= _LINE
    return found
