"""The table of a study: in the terminal, as Markdown and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from jaxsched.bench.statistics import Summary
from jaxsched.bench.study import Study
from jaxsched.bench.target import Target

_COLUMNS = ("", "steps", "examples", "seconds", "reached", "final accuracy, %")
_AVERAGED = "averaged, %"  # only in tables where there is an average


def terminal_table(study: Study, target: Target, summaries: Sequence[Summary]) -> Table:
    """The table as the terminal shows it."""
    table = Table(title=_title(study, target))
    columns, *rows = _cells(summaries)
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    return table


def markdown_table(study: Study, target: Target, summaries: Sequence[Summary]) -> str:
    """The table as Markdown."""
    columns, *cells = _cells(summaries)
    rows = [columns, ("---", *["---:"] * (len(columns) - 1)), *cells]
    return f"{_title(study, target)}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write_json(study: Study, target: Target, summaries: Sequence[Summary], path: Path) -> None:
    """The table as `{"study", "target", "origin", "rows": [...]}`, its numbers unrounded."""
    rows = [dataclasses.asdict(summary) for summary in summaries]
    content = {
        "study": study.name,
        "target": target.accuracy,
        "origin": target.origin,
        "rows": rows,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _title(study: Study, target: Target) -> str:
    return f"{study.name}: median over seeds to reach {target.accuracy:.1%} test accuracy"


def _cells(summaries: Sequence[Summary]) -> list[tuple[str, ...]]:
    """The heading and a row each."""
    has_average = any(summary.averaged_mean is not None for summary in summaries)
    rows = [_COLUMNS, *map(_row, summaries)]
    if not has_average:
        return rows
    averaged = [_AVERAGED, *(_spread(s.averaged_mean, s.averaged_sd) for s in summaries)]
    return [(*row, cell) for row, cell in zip(rows, averaged, strict=True)]


def _row(summary: Summary) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "missed" if value is None else format(value, form)

    diverged = f", {summary.diverged} diverged" if summary.diverged else ""
    return (
        summary.name,
        number(summary.steps, ",.0f"),
        number(summary.examples, ",.0f"),
        number(summary.seconds, ".1f"),
        f"{summary.reached}/{summary.seeds}{diverged}",
        f"{_spread(summary.accuracy_mean, summary.accuracy_sd)} (n={summary.seeds})",
    )


def _spread(mean: float | None, sd: float | None) -> str:
    """Mean ± sd in per cent, as far as they are known."""
    if mean is None:
        return "none"
    return f"{100 * mean:.2f}" if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f}"
