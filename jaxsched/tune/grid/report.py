"""What a grid leaves behind: a table in three forms and a picture."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table

from jaxsched.text import text_of, title
from jaxsched.tune.grid.equal_time import on_equal_time, result_within, time_budget
from jaxsched.tune.grid.plots import draw_grid
from jaxsched.tune.grid.ranking import Ranking, Result, loss_text, rank_cells, result
from jaxsched.tune.grid.runs import GridRuns


class GridReport(NamedTuple):
    """What is shown."""

    table: Table  # in the terminal
    statements: tuple[str, ...]
    markdown: str


def write_grid_report(runs: GridRuns) -> GridReport:
    """Writes `grid.json`, `grid.md` and `grid.png` to the folder of the runs.

    Args:
        runs: of which some have finished, be they cut off.

    Raises:
        ValueError: when none has.
    """
    of_cells = runs.runs()
    if not of_cells:
        raise ValueError(f"{runs.folder} has no finished run; run the grid first.")
    results = [result(cell.values, records) for cell, records in of_cells]
    verdict = rank_cells(results)
    records = [record for _, records in of_cells for record in records]
    early, seconds = None, math.inf
    if runs.grid.compares_time:
        seconds = time_budget(records)
        early = [result_within(cell.values, of_cell, seconds) for cell, of_cell in of_cells]
    evaluated_on = records[0].header["evaluated_on"]
    statements = _statements(verdict, early, seconds, evaluated_on)
    rows = _rows(results, early, seconds)
    heading = _title(runs, evaluated_on, len(records))
    lines = [heading, "", *_markdown(rows), "", *(f"- {text}" for text in statements)]
    markdown = "\n".join(lines) + "\n"
    (runs.folder / "grid.md").write_text(markdown, encoding="utf-8")
    content = _content(runs, results, verdict, early, seconds, statements)
    json_text = json.dumps({**content, "evaluated_on": evaluated_on}, indent=2) + "\n"
    (runs.folder / "grid.json").write_text(json_text, encoding="utf-8")
    draw_grid(heading, of_cells, results, runs.folder / "grid.png", evaluated_on=evaluated_on)
    return GridReport(_table(heading, rows), statements, markdown)


def _title(runs: GridRuns, evaluated_on: str, num_runs: int) -> str:
    grid = runs.grid
    start = "" if grid.from_snapshot is None else f" from a snapshot at {grid.from_snapshot:g}"
    seeds = f"n={len(grid.seeds)}"
    missing = len(runs.cells) * len(grid.seeds) - num_runs
    unfinished = f", {missing} runs missing" if missing else ""
    return (
        f"{grid.experiment.name}: {evaluated_on} loss after {grid.epochs:g} epochs{start} "
        f"({seeds}{unfinished})"
    )


def _statements(
    verdict: Ranking,
    early: Sequence[Result | None] | None,
    seconds: float,
    evaluated_on: str,
) -> tuple[str, ...]:
    statements = list(verdict.statements)
    if early is not None:
        statements[0] = f"At equal epochs. {statements[0]}"
        statements.append(on_equal_time(early, seconds))
    if evaluated_on == "test":
        statements.append(
            "Judged on test images, because this source cannot hold out training images: what is "
            "chosen here looks better on them than it is."
        )
    return tuple(statements)


def _rows(
    results: Sequence[Result], early: Sequence[Result | None] | None, seconds: float
) -> list[tuple[str, ...]]:
    """The heading and a row a cell."""
    names = list(results[0].values)
    heading = (*map(title, names), "loss", "accuracy, %", "n")
    rows = [(*(text_of(r.values[n]) for n in names), *_judged(r)) for r in results]
    if early is None:
        return [heading, *rows]
    columns = ("training seconds", f"loss within {seconds:.3g} s", "accuracy, %")
    more = [
        (f"{max(whole.seconds.values(), default=math.nan):.3g}", *_judged(e)[:2])
        for whole, e in zip(results, early, strict=True)
    ]
    return [(*heading, *columns), *((*a, *b) for a, b in zip(rows, more, strict=True))]


def _judged(of: Result | None) -> tuple[str, str, str]:
    """Loss, accuracy and number of seeds."""
    if of is None:
        return "none", "none", "0"
    diverged = f"{of.num_diverged} diverged" if of.num_diverged else ""
    accuracy = "none"
    if of.accuracy is not None:
        sd = "" if of.accuracy_sd is None else f" ± {100 * of.accuracy_sd:.2f}"
        accuracy = f"{100 * of.accuracy:.2f}{sd}"
    return diverged or loss_text(of), accuracy, str(len(of.losses))


def _table(heading: str, rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(title=heading)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _markdown(rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [rows[0], ("---:",) * len(rows[0]), *rows[1:]]
    return [f"| {' | '.join(line)} |" for line in lines]


def _content(
    runs: GridRuns,
    results: Sequence[Result],
    verdict: Ranking,
    early: Sequence[Result | None] | None,
    seconds: float,
    statements: Sequence[str],
) -> dict[str, Any]:
    """The table with its numbers unrounded."""
    content: dict[str, Any] = {
        "name": runs.grid.experiment.name,
        "epochs": runs.grid.epochs,
        "from_snapshot": runs.grid.from_snapshot,
        "seeds": list(runs.grid.seeds),
        "cells": [_numbers(r) for r in results],
        "best": verdict.best and dict(verdict.best.values),
        "advised": verdict.advised and dict(verdict.advised.values),
        "statements": list(statements),
    }
    if early is not None:
        cells = [None if r is None else _numbers(r) for r in early]
        content["equal_time"] = {"seconds": seconds, "cells": cells}
    return content


def _numbers(of: Result) -> dict[str, Any]:
    """By seed; JSON has no infinity, so a run that diverged has no loss."""
    losses = {s: loss if math.isfinite(loss) else None for s, loss in of.losses.items()}
    return {
        "name": of.name,
        "values": dict(of.values),
        "losses": losses,
        "accuracies": dict(of.accuracies),
        "train_seconds": dict(of.seconds),
        "diverged": of.num_diverged,
    }
