"""What a study leaves behind: the table in three forms and two pictures."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from jaxsched.bench.pictures import draw_accuracy, draw_schedules
from jaxsched.bench.records import Record
from jaxsched.bench.runner import planned
from jaxsched.bench.statistics import summarise
from jaxsched.bench.study import Study
from jaxsched.bench.table import markdown_table, terminal_table, write_json
from jaxsched.bench.target import resolved
from jaxsched.train import Preview


def write_report(study: Study, records: Sequence[Record], folder: Path) -> Table:
    """Writes `summary.json`, `summary.md`, `accuracy.png` and `schedules.png` from the records.

    Args:
        study: what was run, wholly or in part.
        records: of its finished runs, see `study_records`.
        folder: where to write.

    Returns:
        The table, for the terminal.
    """
    target = resolved(study.target, records)
    summaries = summarise(records, target.accuracy)
    write_json(study, target, summaries, folder / "summary.json")
    (folder / "summary.md").write_text(markdown_table(study, target, summaries), encoding="utf-8")
    draw_accuracy(study, target, records, folder / "accuracy.png")
    previews = {e.name: Preview.of(e, planned(e)) for e in study.experiments}
    draw_schedules(previews, folder / "schedules.png")
    return terminal_table(study, target, summaries)
