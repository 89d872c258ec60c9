"""The figures of the study's metric over time, and of losses beside it."""

import math
from collections.abc import Sequence

import altair as alt

from jaxsched.bench.report.page.charts.encodings import y_of
from jaxsched.bench.report.page.charts.end_labels import label_layers, labels
from jaxsched.bench.report.page.charts.layers import curve_layers, ring_layer
from jaxsched.bench.report.page.charts.rows import ChartRows, column, curve_rows, ends_of, near
from jaxsched.bench.report.page.charts.specification import specification
from jaxsched.bench.report.page.charts.ticks import Ticks, drawable, linear_ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.report.page.figures.figure import Figure, overlap_text
from jaxsched.bench.report.results import Results
from jaxsched.metric import Metric, bare_name

_LARGE, _SMALL = 360, 150  # heights in pixels; the width is that of the place
_MOST_BESIDE, _MOST_RINGS = 2, 10
_COUNTING = {
    "averaged": "thick with rings its averaged weights, which count, and thin its raw ones",
    "raw": "thick its raw weights, which count, and thin with rings the averaged ones",
    "better": "with rings its averaged weights and without its raw ones; at each evaluation the "
    "better of the two counts",
}


def metric_figure(results: Results, units: TimeUnits) -> Figure:
    """Makes the figure of the study's metric, of raw and averaged weights, with the target."""
    metric = results.metric
    target = drawable(results.target.value)
    figure = _figure(results, units, metric, [] if target is None else [target], _LARGE)
    if figure.spec is None:
        return figure
    better = "" if metric.better == "higher" else " Lower is better."
    how = "Lines are medians over seeds, and bands hold the middle half of the seeds."
    if results.by_average:
        how += f" An experiment with an average has two: {_COUNTING[results.manifest.evaluate]}."
    return Figure(figure.title, f"{how}{better}{figure.text}", figure.spec)


def loss_figures(results: Results, units: TimeUnits) -> list[Figure]:
    """Makes the figures of the losses that the records have, on test and on training examples."""
    found: dict[str, Metric] = {}
    for record in results.records:
        for name in record.columns:
            metric = record.metric(name)
            if metric and bare_name(name) == "loss" and not name.startswith("averaged_"):
                found.setdefault(name, metric)
    beside = [metric for name, metric in found.items() if name != results.metric.name]
    # The loss of test examples first, which stands next to the metric of test examples.
    beside.sort(key=lambda metric: metric.name.startswith("train_"))
    height = _SMALL if len(beside) > 1 else _LARGE
    figures = [_figure(results, units, m, [], height) for m in beside[:_MOST_BESIDE]]
    return [figure for figure in figures if figure.spec is not None]


def _figure(
    results: Results, units: TimeUnits, metric: Metric, targets: Sequence[float], height: int
) -> Figure:
    """Makes the figure of a metric, with a line at the target if there is one."""
    names, rows = results.manifest.names, _rows(results, metric)
    title = metric.words.capitalize().replace("Train ", "Training ")
    if not rows:
        return Figure(title, "No run has a value that can be drawn.", None)
    ticks = _ticks(rows, metric, targets)
    form = ".2%" if metric.is_share else ".6~g"
    layers = curve_layers(names, ticks, form, units, weights="weights" in rows[-1])
    averaged = [r for r in rows if r.get("weights") == "averaged" and r["median"] is not None]
    text = overlap_text([row for row in rows if row.get("counts", True)], ticks)
    if averaged:
        layers.append(ring_layer(names, ticks, units))
    layers += _target_layers(ticks) if targets else []
    beside = labels(ends_of(rows), ticks, height)
    datasets = {
        "points": near(rows, ticks),
        "rings": near(_rings(averaged), ticks),
        "labels": beside,
        "target": [{"value": value, "label": f"target {metric.show(value)}"} for value in targets],
    }
    layers += label_layers(names, ticks, beside, units)
    return Figure(title, text, specification(layers, datasets, names, height, units=units))


def _rings(averaged: ChartRows) -> ChartRows:
    """About ten points of each curve of averaged weights, with its last one."""
    of_name: dict[str, ChartRows] = {}
    for row in reversed(averaged):
        of_name.setdefault(row["experiment"], []).append(row)
    return [row for of in of_name.values() for row in of[:: math.ceil(len(of) / _MOST_RINGS)]]


def _rows(results: Results, metric: Metric) -> ChartRows:
    """The rows of raw weights and of averaged ones, each marked if there are both."""
    averaged = curve_rows(
        results, lambda run: column(f"averaged_{metric.name}"), weights="averaged", counts=True
    )
    with_average = {row["experiment"] for row in averaged}
    raw = curve_rows(results, lambda run: column(metric.name))
    marks = {"weights": "raw", "counts": False}
    return [
        *({**row, **(marks if row["experiment"] in with_average else {})} for row in raw),
        *averaged,
    ]


def _ticks(rows: ChartRows, metric: Metric, targets: Sequence[float]) -> Ticks:
    """An axis without what is far worse than the rest, which would flatten it.

    It ends at the worst value after the first quarter of a curve, and no value counts that is worse
    than all first ones, such as a loss that diverges.
    """
    is_higher = metric.better == "higher"
    worst = min if is_higher else max
    drawn = [row for row in rows if row["median"] is not None]
    lasts = {row["experiment"]: row["step"] for row in drawn}
    firsts = list({row["experiment"]: row["median"] for row in reversed(drawn)}.values())
    late = [row["median"] for row in drawn if row["step"] > lasts[row["experiment"]] / 4]
    first = worst(firsts)
    end = worst([first if metric.reaches(first, value) else value for value in late])
    shown = [row["median"] for row in drawn if metric.reaches(row["median"], end)]
    return linear_ticks([*shown, *targets], is_share=metric.is_share)


def _target_layers(ticks: Ticks) -> list[alt.Chart]:
    chart = alt.Chart(alt.NamedData("target"))
    y, ink = y_of("value", ticks), alt.ExprRef("ink")
    rule = chart.mark_rule(strokeDash=[5, 4], color=ink, strokeWidth=1.25)
    text = chart.mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=ink, fontSize=12)
    # Small multiples have no room for it.
    text = text.transform_filter("lit === null || labelled")
    return [rule.encode(y=y), text.encode(x=alt.value(0), y=y, text="label:N")]
