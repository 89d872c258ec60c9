"""The figure of the weight norm."""

from jaxsched.bench.report.page.charts.labelled import curve_chart
from jaxsched.bench.report.page.charts.rows import column, curve_rows
from jaxsched.bench.report.page.charts.ticks import linear_ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.report.page.figures.figure import Figure, flat_text, overlap_text
from jaxsched.bench.report.results import Results

_HEIGHT = 240
_TITLE = "Weight norm |w|²"


def norm_figure(results: Results, units: TimeUnits) -> Figure | None:
    """Makes the figure of |w|² over time; None if no record has it."""
    names = results.manifest.names
    rows = curve_rows(results, lambda run: column("squared_norm"))
    if not rows:
        return None
    if flat := flat_text(rows):
        return Figure(_TITLE, flat, None)
    ticks = linear_ticks([row["median"] for row in rows if row["median"] is not None])
    text = (
        "The squared norm of all weights. If it falls and rises again, it pays to decay the "
        f"learning rate more than once (Lewkowycz, arXiv 2103.12682).{overlap_text(rows, ticks)}"
    )
    return Figure(_TITLE, text, curve_chart(rows, names, ticks, _HEIGHT, units))
