"""The table of a study: in the terminal, as Markdown and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from jaxsched.bench.statistics import Summary
from jaxsched.bench.study import Study

_COLUMNS = ("", "steps", "examples", "seconds", "reached", "final accuracy, %")


def terminal_table(study: Study, summaries: Sequence[Summary]) -> Table:
    """The table as the terminal shows it."""
    table = Table(title=_title(study))
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column else "left")
    for summary in summaries:
        table.add_row(*_cells(summary))
    return table


def markdown_table(study: Study, summaries: Sequence[Summary]) -> str:
    """The table as Markdown."""
    rows = [_COLUMNS, ("---", *["---:"] * (len(_COLUMNS) - 1)), *map(_cells, summaries)]
    return f"{_title(study)}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write_json(study: Study, summaries: Sequence[Summary], path: Path) -> None:
    """The table as `{"study", "target", "rows": [...]}`, its numbers unrounded."""
    rows = [dataclasses.asdict(summary) for summary in summaries]
    content = {"study": study.name, "target": study.target, "rows": rows}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _title(study: Study) -> str:
    return f"{study.name}: median over seeds to reach {study.target:.1%} test accuracy"


def _cells(summary: Summary) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "missed" if value is None else format(value, form)

    if summary.accuracy_mean is None:
        accuracy = "none"
    elif summary.accuracy_sd is None:
        accuracy = f"{100 * summary.accuracy_mean:.2f}"
    else:
        accuracy = f"{100 * summary.accuracy_mean:.2f} ± {100 * summary.accuracy_sd:.2f}"
    diverged = f", {summary.diverged} diverged" if summary.diverged else ""
    return (
        summary.name,
        number(summary.steps, ",.0f"),
        number(summary.examples, ",.0f"),
        number(summary.seconds, ".1f"),
        f"{summary.reached}/{summary.seeds}{diverged}",
        f"{accuracy} (n={summary.seeds})",
    )
