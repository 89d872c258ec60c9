"""Writes the report of a grid: a table, JSON and a plot."""

import json
import math
from collections.abc import Sequence
from typing import Any

from jaxsched.output import write_text
from jaxsched.tasks import LOSS, Metric
from jaxsched.text import text_of, title
from jaxsched.tune.grid.equal_time import equal_time_statement, result_within, time_budget
from jaxsched.tune.grid.plots import draw_grid
from jaxsched.tune.grid.ranking import Ranking, Result, cell_result, loss_text, rank_cells
from jaxsched.tune.grid.runs import GridRuns
from jaxsched.tune.report import Report


def write_grid_report(runs: GridRuns) -> Report:
    """Writes `grid.json`, `grid.md` and `grid.png` to the folder of the runs; returns the report.

    Args:
        runs: the runs of the grid, also of one that was interrupted.

    Raises:
        ValueError: when no run has finished.
    """
    cell_runs = runs.runs()
    if not cell_runs:
        raise ValueError(f"{runs.folder} has no finished run; run the grid first.")
    results = [cell_result(cell.values, records) for cell, records in cell_runs]
    ranking = rank_cells(results)
    records = [record for _, records in cell_runs for record in records]
    early, seconds = None, math.inf
    if runs.grid.compares_time:
        seconds = time_budget(records)
        early = [result_within(cell.values, records, seconds) for cell, records in cell_runs]
    evaluated_on = records[0].header["evaluated_on"]
    statements = (
        *_statements(ranking, early, seconds, evaluated_on),
        *(f"A record is left out: {reason}" for reason in runs.unreadable()),
    )
    rows = _rows(results, early, seconds, runs.grid.experiment.task.main_metric)
    if ranking.advised is not None:
        taken = ["", *("taken" if r is ranking.advised else "" for r in results)]
        rows = [(*row, mark) for row, mark in zip(rows, taken, strict=True)]
    heading = _title(runs, evaluated_on, len(records))
    report = Report(heading, rows, statements, num_values=len(runs.grid.axes))
    write_text(runs.folder / "grid.md", report.markdown)
    content = _content(runs, results, ranking, early, seconds, statements)
    json_text = json.dumps({**content, "evaluated_on": evaluated_on}, indent=2) + "\n"
    write_text(runs.folder / "grid.json", json_text)
    path = runs.folder / "grid.png"
    draw_grid(heading, cell_runs, results, ranking, path, evaluated_on=evaluated_on)
    return report


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
    ranking: Ranking,
    early: Sequence[Result | None] | None,
    seconds: float,
    evaluated_on: str,
) -> tuple[str, ...]:
    statements = list(ranking.statements)
    if early is not None:
        statements[0] = f"At equal epochs. {statements[0]}"
        statements.append(equal_time_statement(early, seconds))
    if evaluated_on == "test":
        statements.append(
            "Ranked by test images, because this source cannot hold out training images: the "
            "values chosen here look better on them than they are."
        )
    return tuple(statements)


def _rows(
    results: Sequence[Result],
    early: Sequence[Result | None] | None,
    seconds: float,
    metric: Metric,
) -> list[tuple[str, ...]]:
    """The heading, and one row for each cell."""
    names = list(results[0].values)
    score = () if metric == LOSS else (f"{metric.noun}{metric.unit}",)
    heading = (*map(title, names), "loss", *score, "n")
    rows = [(*(text_of(r.values[n]) for n in names), *_result_cells(r, metric)) for r in results]
    if early is None:
        return [heading, *rows]
    columns = ("training seconds", f"loss within {seconds:.3g} s", *score)
    used = [f"{max(result.seconds.values(), default=math.nan):.3g}" for result in results]
    cells = [_result_cells(within, metric)[:-1] for within in early]
    more = [(time, *some) for time, some in zip(used, cells, strict=True)]
    return [(*heading, *columns), *((*a, *b) for a, b in zip(rows, more, strict=True))]


def _result_cells(result: Result | None, metric: Metric) -> tuple[str, ...]:
    """The text of loss, main metric (unless that is the loss) and number of seeds."""
    if result is None:
        return ("none", "0") if metric == LOSS else ("none", "none", "0")
    loss = f"{result.num_diverged} diverged" if result.num_diverged else loss_text(result)
    if metric == LOSS:
        return loss, str(len(result.losses))
    score = metric.show_mean(result.score, result.score_sd)
    if 0 < len(result.scores) < len(result.losses):
        score += f" (n={len(result.scores)})"
    return loss, score, str(len(result.losses))


def _content(
    runs: GridRuns,
    results: Sequence[Result],
    ranking: Ranking,
    early: Sequence[Result | None] | None,
    seconds: float,
    statements: Sequence[str],
) -> dict[str, Any]:
    """The content of `grid.json`: the table with its numbers unrounded."""
    content: dict[str, Any] = {
        "name": runs.grid.experiment.name,
        "epochs": runs.grid.epochs,
        "from_snapshot": runs.grid.from_snapshot,
        "seeds": list(runs.grid.seeds),
        "cells": [_numbers(r) for r in results],
        "best": ranking.best and dict(ranking.best.values),
        "advised": ranking.advised and dict(ranking.advised.values),
        "statements": list(statements),
    }
    if early is not None:
        cells = [None if r is None else _numbers(r) for r in early]
        content["equal_time"] = {"seconds": seconds, "cells": cells}
    return content


def _numbers(result: Result) -> dict[str, Any]:
    # JSON has no infinity, so a run that diverged has no loss.
    losses = {s: loss if math.isfinite(loss) else None for s, loss in result.losses.items()}
    return {
        "name": result.name,
        "values": dict(result.values),
        "losses": losses,
        "scores": dict(result.scores),
        "train_seconds": dict(result.seconds),
        "diverged": result.num_diverged,
    }
