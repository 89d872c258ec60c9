"""The figure of the share of seeds that have reached the target."""

from jaxsched.bench.report.page.charts.encodings import (
    chart_over_time,
    colours,
    dash_patterns,
    emphasis,
    tooltip,
    x_of_time,
    y_of,
)
from jaxsched.bench.report.page.charts.end_labels import End, label_layers, labels
from jaxsched.bench.report.page.charts.rows import ChartRows
from jaxsched.bench.report.page.charts.specification import specification
from jaxsched.bench.report.page.charts.ticks import drawable, linear_ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.report.page.figures.figure import Figure
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis, reached_curve, times_to_target

_HEIGHT = 240
_TITLE = "Seeds that have reached the target"
_TICKS = linear_ticks([0, 1], is_share=True)


def reached_figure(results: Results, units: TimeUnits) -> Figure:
    """Makes the figure; a sentence if no run reached the target, or each experiment has one run."""
    names = results.manifest.names
    if not any(summary.reached for summary in results.summaries):
        return Figure(_TITLE, "No run has reached it.", None)
    if all(len(results.runs_of(name)) < 2 for name in names):
        return Figure(_TITLE, "Each experiment has one run; the table has its time.", None)
    rows = [row for name in names for row in _rows(results, name)]
    chart, x, y = chart_over_time("points", units), x_of_time(), y_of("share", _TICKS)
    chart = chart.transform_filter("datum.time_axis === time_axis")
    line = chart.mark_line(interpolate="step-after", strokeWidth=2.25)
    points = chart.transform_filter("isValid(datum.low)").mark_circle(size=45)
    layers = [
        line.encode(
            x=x,
            y=y,
            color=colours(names),
            strokeDash=dash_patterns(names),
            opacity=emphasis(),
        ),
        points.encode(
            x=x,
            y=y,
            color=colours(names),
            opacity=emphasis(),
            tooltip=tooltip(("share", "low", "high", "n"), ".2~f"),
        ),
    ]
    text = (
        "Each step up is a seed that has reached it. A point's tooltip has the exact 95 % interval "
        "of the share, which is wide if there are few seeds."
    )
    ends = {row["experiment"]: row["share"] for row in rows}
    beside = labels([End(name, name, share) for name, share in ends.items()], _TICKS, _HEIGHT)
    datasets = {"points": rows, "labels": beside}
    layers += label_layers(names, _TICKS, beside, units)
    return Figure(_TITLE, text, specification(layers, datasets, names, _HEIGHT, units=units))


def _rows(results: Results, name: str) -> ChartRows:
    """The corners of an experiment's curve, from 0 to the end of the longest run.

    There are separate rows for each axis of time, because the order of runs depends on it.
    """
    runs, rows = results.counted_of(name), []
    for time_axis in results.time_axes if runs else ():
        curve = reached_curve(times_to_target(runs, results.target, time_axis))
        corners = zip(curve.times, curve.shares, curve.low, curve.high, strict=True)
        shared = {"experiment": name, "time_axis": time_axis, "n": curve.n}
        rows += [
            {**shared, time_axis: 0, "share": 0},
            *(
                {**shared, time_axis: time, "share": share, "low": low, "high": high}
                for time, share, low, high in corners
                if drawable(time) is not None
            ),
            {
                **shared,
                time_axis: _longest(results, time_axis),
                "share": curve.shares[-1] if curve.shares else 0,
            },
        ]
    return rows


def _longest(results: Results, time_axis: TimeAxis) -> float:
    """The time at which the longest run ended; 0 if no run has an evaluation."""
    lasts = [record.evaluations[-1] for record in results.records if record.evaluations]
    return max((drawable(row[time_axis]) or 0.0 for row in lasts), default=0)
