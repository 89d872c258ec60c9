"""The figure of the performance profile over several targets."""

from jaxsched.bench.report.page.charts.end_labels import End, label_layers, labels
from jaxsched.bench.report.page.charts.layers import profile_layer
from jaxsched.bench.report.page.charts.specification import specification
from jaxsched.bench.report.page.charts.ticks import linear_ticks
from jaxsched.bench.report.page.figures.figure import Figure
from jaxsched.bench.report.results import Results

_HEIGHT = 240


def profile_figure(results: Results) -> Figure | None:
    """Makes the figure of the performance profile over the targets; None if there is only one."""
    if results.profile is None:
        return None
    if not any(any(shares) for shares in results.profile.shares.values()):
        return Figure("Performance profile", "No experiment has reached any target.", None)
    names, ticks = results.manifest.names, linear_ticks([0, 1], is_share=True)
    label = "updates, as a multiple of the fewest"
    layer, rows = profile_layer(results.profile, names, ticks, label)
    text = (
        "The share of the targets that an experiment reached with at most so many times the "
        "updates of the fastest experiment, from medians over seeds. Higher is better."
    )
    ends = {row["experiment"]: row["share"] for row in rows}
    beside = labels([End(name, name, share) for name, share in ends.items()], ticks, _HEIGHT)
    layers = [layer, *label_layers(names, ticks, beside, None)]
    datasets = {"points": rows, "labels": beside}
    return Figure("Performance profile", text, specification(layers, datasets, names, _HEIGHT))
