"""What a study leaves behind: the table in three forms and two pictures."""

from pathlib import Path

from rich.table import Table

from jaxsched.bench.pictures import draw_accuracy, draw_schedules
from jaxsched.bench.runner import load, study_records
from jaxsched.bench.statistics import summarise
from jaxsched.bench.study import Study
from jaxsched.bench.table import markdown_table, terminal_table, write_json
from jaxsched.train import Preview


def write_report(study: Study, records_folder: Path, folder: Path) -> Table:
    """Writes `summary.json`, `summary.md`, `accuracy.png` and `schedules.png` from the records.

    Args:
        study: what was run, wholly or in part.
        records_folder: where its records lie.
        folder: where to write.

    Returns:
        The table, for the terminal.
    """
    records = study_records(study, records_folder)
    summaries = summarise(records, study.target)
    write_json(study, summaries, folder / "summary.json")
    (folder / "summary.md").write_text(markdown_table(study, summaries), encoding="utf-8")
    draw_accuracy(study, records, folder / "accuracy.png")
    plans = {e.name: e.plan(len(load(e.data).train)) for e in study.experiments}
    previews = {e.name: Preview.of(e, plans[e.name]) for e in study.experiments}
    draw_schedules(previews, folder / "schedules.png")
    return terminal_table(study, summaries)
