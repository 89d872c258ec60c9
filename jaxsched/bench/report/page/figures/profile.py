"""The figure of the performance profile over several targets."""

from jaxsched.bench.report.page.charts.labelled import profile_chart
from jaxsched.bench.report.page.figures.figure import Figure
from jaxsched.bench.report.results import Results

_HEIGHT = 240


def profile_figure(results: Results) -> Figure | None:
    """Makes the figure of the performance profile over the targets; None if there is only one."""
    if results.profile is None:
        return None
    if not any(any(shares) for shares in results.profile.shares.values()):
        return Figure("Performance profile", "No experiment has reached any target.", None)
    text = (
        "The share of the targets that an experiment reached with at most so many times the "
        "updates of the fastest experiment, from medians over seeds. Higher is better."
    )
    label = "updates, as a multiple of the fewest"
    spec = profile_chart(results.profile, results.manifest.names, label, _HEIGHT)
    return Figure("Performance profile", text, spec)
