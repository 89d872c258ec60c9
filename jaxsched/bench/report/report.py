"""Writes all files of a study's report."""

from pathlib import Path

from jaxsched.bench.report.csv_files import write_evaluations, write_runs
from jaxsched.bench.report.page import write_page
from jaxsched.bench.report.plots import draw_metric
from jaxsched.bench.report.results import Results
from jaxsched.bench.report.summary_json import write_json
from jaxsched.bench.report.tables import markdown_table
from jaxsched.output import make_folder, write_text


def write_report(results: Results, folder: Path) -> None:
    """Writes a study's report: a page, a plot, tables and CSV files.

    The files are `report.html`, `summary.md`, `summary.json`, `runs.csv`, `evaluations.csv` and a
    plot of the metric, such as `accuracy.png`. Existing ones are replaced, each as a whole.

    Args:
        results: the results of a study, of which some runs may be missing.
        folder: where to write; it is created if it does not exist.

    Raises:
        OSError: when a file cannot be written; the one that was there before is kept.
    """
    make_folder(folder)
    write_json(results, folder / "summary.json")
    write_text(folder / "summary.md", markdown_table(results))
    write_runs(results, folder / "runs.csv")
    write_evaluations(results, folder / "evaluations.csv")
    draw_metric(results, folder / f"{results.metric.name.removeprefix('test_')}.png")
    write_page(results, folder / "report.html")
