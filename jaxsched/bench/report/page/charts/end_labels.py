"""Labels at the ends of curves that do not overlap."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from jaxsched.bench.report.page.charts.encodings import chart_of, colours, emphasis, value, y_of
from jaxsched.bench.report.page.charts.ticks import Ticks

_LINE = 15  # the height of a label, in pixels
_LEADER = 14  # the length of the line from a curve to its label, in pixels
_MOST_LABELS, _LONGEST = 5, 26

# Of each curve its experiment, its label and its last value.
Ends = Sequence[tuple[str, str, float]]


def labels(ends: Ends, ticks: Ticks, height: int) -> list[dict[str, Any]]:
    """Places a label beside the end of each curve; returns the rows of the dataset "labels".

    There are none where there are more than five curves or a name is long: the legend names them.

    Args:
        ends: the experiment, the label and the last value of each curve.
        ticks: the vertical axis.
        height: its height in pixels.
    """
    if not 0 < len(ends) <= _MOST_LABELS or max(len(label) for _, label, _ in ends) > _LONGEST:
        return []
    ordered = sorted(ends, key=lambda end: (-ticks.place(end[2]), end[1]))
    places = _spread([height * (1 - ticks.place(end)) for _, _, end in ordered], height)
    return [
        {
            "experiment": experiment,
            "label": label,
            "end": min(max(end, ticks.low), ticks.high),
            "at": ticks.value(1 - place / height),
        }
        for (experiment, label, end), place in zip(ordered, places, strict=True)
    ]


def label_layers(names: Sequence[str], ticks: Ticks) -> list[alt.Chart]:
    """Makes the layers of labels, each with a line that leads from the end of its curve."""
    chart = chart_of("labels").transform_filter("labelled")
    start, stop = value("width + 2"), value(f"width + {_LEADER}")
    leader = chart.mark_rule(strokeWidth=2)
    text = chart.mark_text(align="left", baseline="middle", fontSize=12, dx=3)
    return [
        leader.encode(
            x=start,
            x2=stop,
            y=y_of("end", ticks),
            y2=alt.Y2("at:Q"),
            color=colours(names),
            opacity=emphasis(),
        ),
        text.encode(
            x=stop,
            y=y_of("at", ticks),
            text="label:N",
            color=alt.value(alt.ExprRef("ink")),
            opacity=emphasis(),
        ),
    ]


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
