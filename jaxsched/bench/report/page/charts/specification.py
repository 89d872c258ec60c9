"""A whole chart, as Vega-Lite."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from jaxsched.bench.report.page.charts.rows import ChartRows
from jaxsched.bench.report.page.charts.time_units import TimeUnits


def specification(
    layers: Sequence[alt.Chart],
    datasets: Mapping[str, ChartRows],
    names: Sequence[str],
    height: int,
    *,
    units: TimeUnits | None = None,
) -> Mapping[str, Any]:
    """Combines layers to one chart, as wide as its place on the page.

    Args:
        layers: from the lowest to the highest.
        datasets: the rows, by the name that the layers use.
        names: the experiments, in their order.
        height: in pixels.
        units: the units of time, if time is the horizontal axis; they are its label.
    """
    parameters = [
        alt.param("time_axis", value=next(iter(units.units)) if units else "step"),
        alt.param("shown", value=list(names)),
        alt.param("lit", value=None),
        alt.param("labelled", value=True),
        alt.param("ink", value="black"),
    ]
    chart = alt.layer(*layers).add_params(*parameters)
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = chart.properties(width="container", height=height, autosize=fitted)
    if units:
        # An axis title cannot depend on a parameter, but a chart title can: it serves as the label.
        title = alt.TitleParams(
            alt.ExprRef(units.words), orient="bottom", anchor="middle", fontWeight="normal"
        )
        chart = chart.properties(title=title)
    padding = {"left": 2, "top": 6, "bottom": 2, "right": 8}
    # Rows are added after `to_dict`, because Altair would validate each number with its schema.
    values = {
        name: [{key: short(value) for key, value in row.items()} for row in rows]
        for name, rows in datasets.items()
    }
    return {**chart.to_dict(validate=False), "padding": padding, "datasets": values}


def short(value: Any) -> Any:
    """Rounds a float to six digits, which is finer than a pixel; keeps other values."""
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
