"""Whole charts whose curves have labels at their ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxsched.bench.report.page.charts.end_labels import End, label_layers, labels
from jaxsched.bench.report.page.charts.layers import curve_layers, profile_layer
from jaxsched.bench.report.page.charts.rows import ChartRows, ends_of, near
from jaxsched.bench.report.page.charts.specification import specification
from jaxsched.bench.report.page.charts.ticks import Ticks, linear_ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.statistics import PerformanceProfile


def curve_chart(
    rows: ChartRows, names: Sequence[str], ticks: Ticks, height: int, units: TimeUnits
) -> Mapping[str, Any]:
    """Makes the chart of curves over time.

    Args:
        rows: the curves' rows.
        names: the experiments, in their order.
        ticks: the vertical axis.
        height: in pixels.
        units: the units of time.
    """
    beside = labels(ends_of(rows), ticks, height)
    layers = curve_layers(names, ticks, ".4~g", units) + label_layers(names, ticks, beside, units)
    datasets = {"points": near(rows, ticks), "labels": beside}
    return specification(layers, datasets, names, height, units=units)


def profile_chart(
    profile: PerformanceProfile, names: Sequence[str], time: str, height: int
) -> Mapping[str, Any]:
    """Makes the chart of a performance profile.

    Args:
        profile: the performance profile.
        names: the experiments, in the order of their colours.
        time: the label of the horizontal axis.
        height: in pixels.
    """
    ticks = linear_ticks([0, 1], is_share=True)
    layer, rows = profile_layer(profile, names, ticks, time)
    ends = {row["experiment"]: row["share"] for row in rows}
    found = [End(name, name, share) for name, share in ends.items()]
    beside = labels(found, ticks, height)
    layers = [layer, *label_layers(names, ticks, beside, None)]
    return specification(layers, {"points": rows, "labels": beside}, names, height)
