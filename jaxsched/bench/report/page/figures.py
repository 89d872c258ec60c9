"""The figures of the page, each with its caption."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from jaxsched.batch_size.noise_scale import noise_scale
from jaxsched.bench.report.curves import Value, column, worst_shown
from jaxsched.bench.report.page.charts import (
    ChartRows,
    chart_of,
    chart_over_time,
    colours,
    curve_rows,
    dash_patterns,
    median_layers,
    profile_layer,
    short,
    specification,
    tooltip,
    x_of_time,
)
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis, reached_curve, times_to_target
from jaxsched.tracking.records import Record

_LARGE, _SMALL = 320, 170  # heights in pixels; the width is that of the window
_DOTS = [1.5, 3]  # the dash pattern of averaged weights
_SHARES = alt.Scale(domain=[0, 1])


@dataclass(frozen=True)
class Figure:
    """A figure of the page: a chart with its title and caption.

    Attributes:
        title: the heading.
        text: the caption, which says how to read the chart.
        spec: the chart in Vega-Lite; None if the text suffices.
    """

    title: str
    text: str
    spec: Mapping[str, Any] | None


def metric_figure(results: Results) -> Figure:
    """Makes the figure of the study's metric over time, of raw and averaged weights."""
    metric, names = results.metric, results.manifest.names
    raw, averaged = (
        curve_rows(results, lambda run, name=name: column(name))
        for name in (metric.name, f"averaged_{metric.name}")
    )
    y = alt.Y(
        title=metric.words,
        axis=alt.Axis(format="~%") if metric.is_share else alt.Axis(),
        scale=_scale(results, raw),
    )
    layers = median_layers(names, y, ".2%" if metric.is_share else ".6~g")
    text = (
        "Lines are medians over seeds, and bands contain the middle half of the seeds. The dashed "
        f"line is the target.{' Lower is better.' if metric.better == 'lower' else ''}"
    )
    if averaged:
        line = chart_over_time("averaged").mark_line(strokeDash=_DOTS, strokeWidth=3, clip=True)
        layers.append(line.encode(x=x_of_time(), y="median:Q", color=colours(names)))
        text += " Dotted lines are the averaged weights."
    rule = alt.Chart(alt.NamedData("target")).mark_rule(strokeDash=[5, 4], color=alt.expr("ink"))
    layers.append(rule.encode(y="value:Q"))
    target: ChartRows = [{"value": results.target.value}]
    datasets = {"points": raw, "averaged": averaged, "target": target}
    title = metric.words.capitalize()
    return Figure(title, text, specification(layers, datasets, names, _LARGE))


def _scale(results: Results, rows: ChartRows) -> alt.Scale:
    """A scale that leaves out what is far worse than the target, so that the rest is told apart."""
    worst, metric = worst_shown(results), results.metric
    is_higher_better = metric.better == "higher"
    if metric.is_share:  # two points beyond, at a whole per cent
        percent = math.floor(100 * worst - 2) if is_higher_better else math.ceil(100 * worst + 2)
        end = min(max(percent / 100, 0.0), 1.0)
    else:
        best = metric.best([results.target.value, *(row["median"] for row in rows)])
        end = worst - 0.05 * (best - worst)
    if is_higher_better:
        return alt.Scale(domainMin=end, zero=False)
    return alt.Scale(domainMax=end, zero=False)


def reached_figure(results: Results) -> Figure:
    """Makes the figure of the share of seeds that have reached the target, over time."""
    names = results.manifest.names
    rows = [row for name in names for row in _reached_rows(results, name)]
    chart = chart_of("points").transform_filter("datum.time_axis == time_axis")
    y = alt.Y("share:Q", title="share of seeds", axis=alt.Axis(format="~%"), scale=_SHARES)
    x = x_of_time()
    line = chart.mark_line(interpolate="step-after", strokeWidth=2)
    points = chart.transform_filter("isValid(datum.low)").mark_circle(size=50)
    layers = [
        line.encode(x=x, y=y, color=colours(names), strokeDash=dash_patterns(names)),
        points.encode(
            x=x, y=y, color=colours(names), tooltip=tooltip(("share", "low", "high"), ".0%")
        ),
    ]
    text = (
        "Each step up is a seed that has reached the target. The tooltip of a point shows the "
        "exact 95 % interval of the share, which is wide if there are few seeds."
    )
    spec = specification(layers, {"points": rows}, names, _LARGE)
    return Figure("Seeds that have reached the target", text, spec)


def _reached_rows(results: Results, name: str) -> ChartRows:
    """The corners of an experiment's curve, from 0 to the end of the longest run.

    There are separate rows for each axis of time, because the order of runs depends on it.
    """
    runs, rows = results.counted_of(name), []
    for time_axis in results.time_axes if runs else ():
        curve = reached_curve(times_to_target(runs, results.target, time_axis))
        end = _longest(results, time_axis)
        corners = zip(curve.times, curve.shares, curve.low, curve.high, strict=True)
        shared = {"experiment": name, "time_axis": time_axis, "n": curve.n}
        rows += [
            {**shared, "time": 0, "share": 0},
            *(
                {**shared, "time": time, "share": share, "low": low, "high": high}
                for time, share, low, high in corners
            ),
            {**shared, "time": end, "share": curve.shares[-1] if curve.shares else 0},
        ]
    return rows


def _longest(results: Results, time_axis: TimeAxis) -> float:
    """The time at which the longest run ended; 0 if no run has an evaluation."""
    lasts = [record.evaluations[-1] for record in results.records if record.evaluations]
    return max((row[time_axis] for row in lasts), default=0)


def profile_figure(results: Results) -> Figure | None:
    """Makes the figure of the performance profile over the targets; None if there is only one."""
    if results.profile is None:
        return None
    names = results.manifest.names
    label = "updates, as a multiple of the fewest"
    line, rows = profile_layer(results.profile, names, "targets", label)
    text = (
        "The share of the targets that an experiment reached with at most so many times the "
        "updates of the fastest experiment, from medians over seeds. Higher is better."
    )
    spec = specification([line], {"points": rows}, names, _LARGE, over_time=False)
    return Figure("Performance profile", text, spec)


_NOISE_SCALE = "noise scale g"
_SCHEDULES: Mapping[str, Callable[[Record], Value]] = {
    "learning rate": lambda run: column("learning_rate"),
    "momentum": lambda run: column("momentum"),
    "weight decay": lambda run: column("weight_decay"),
    "batch size": lambda run: column("batch_size"),
    _NOISE_SCALE: lambda run: _noise_scale(run),
}


def schedule_figures(results: Results) -> list[Figure]:
    """Makes a figure of each hyper-parameter as it was in force, and of SGD's noise scale g.

    A hyper-parameter that is constant and the same in all experiments has no chart, only a caption.
    """
    figures, names = [], results.manifest.names
    for title, value_of in _SCHEDULES.items():
        rows = curve_rows(results, value_of)
        values = {short(row["median"]) for row in rows}
        if len(values) == 1:
            figures.append(
                Figure(title, f"{values.pop():,g} throughout, in all experiments.", None)
            )
        elif rows:
            is_log = title == _NOISE_SCALE  # it falls by orders of magnitude
            scale = alt.Scale(type="log") if is_log else alt.Scale(zero=False)
            axis = alt.Axis(tickCount=5, format="~g" if is_log else "")
            layers = median_layers(names, alt.Y(title=None, scale=scale, axis=axis), ".4~g")
            spec = specification(layers, {"points": rows}, names, _SMALL)
            figures.append(Figure(title, "", spec))
    return figures


def _noise_scale(record: Record) -> Value:
    """The noise scale g at the row's last update; None for optimizers other than SGD."""
    optimizer = record.header["config"].get("optimizer")
    is_sgd = isinstance(optimizer, Mapping) and optimizer.get("type") == "SGD"

    def value(row: Mapping[str, Any]) -> float | None:
        lr, momentum = column("learning_rate")(row), column("momentum")(row)
        batch_size = row.get("batch_size")
        if lr is None or momentum is None or not momentum < 1 or batch_size is None:
            return None
        if not is_sgd or not row.keys() >= {"examples", "epoch"}:
            return None
        num_examples = round(row["examples"] / row["epoch"])
        # A learning rate of 0 and a full batch have g = 0, which a logarithmic axis cannot show.
        if not lr > 0 or batch_size >= num_examples:
            return None
        return float(noise_scale(lr, batch_size, num_examples, momentum))

    return value


def norm_figure(results: Results) -> Figure | None:
    """Makes the figure of |w|² over time; None if no record has it."""
    names = results.manifest.names
    rows = curve_rows(results, lambda run: column("squared_norm"))
    if not rows:
        return None
    y = alt.Y(title="|w|²", scale=alt.Scale(zero=False))
    text = (
        "The squared norm of all weights. If it falls and rises again, it pays to decay the "
        "learning rate more than once (Lewkowycz, arXiv 2103.12682)."
    )
    layers = median_layers(names, y, ".4~g")
    return Figure("Weight norm", text, specification(layers, {"points": rows}, names, _LARGE))
