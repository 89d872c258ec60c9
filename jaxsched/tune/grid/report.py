"""Writes the report of a grid: a table, JSON and a plot."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxsched.output import write_text
from jaxsched.tasks import LOSS, Metric
from jaxsched.text import text_of, title
from jaxsched.tune.grid.equal_time import equal_time_statements
from jaxsched.tune.grid.plots import draw_grid
from jaxsched.tune.grid.ranking import Ranking, Result, cell_result, loss_text, rank_cells
from jaxsched.tune.grid.runs import CellRuns, GridRuns
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
    equal = _EqualTime.of(runs) if runs.grid.compares_time else None
    num_runs = sum(len(records) for _, records in cell_runs)
    evaluated_on = cell_runs[0].records[0].header["evaluated_on"]
    statements = (
        *_statements(ranking, equal, evaluated_on),
        *(f"A record is left out: {reason}" for reason in runs.unreadable()),
    )
    taken = ranking if equal is None else equal.ranking
    rows = _rows(results, equal, taken, runs.grid.experiment.task.main_metric)
    heading = _title(runs, evaluated_on, num_runs)
    report = Report(heading, rows, statements, num_values=len(runs.grid.axes))
    write_text(runs.folder / "grid.md", report.markdown)
    content = _content(runs, results, taken, equal, statements)
    json_text = json.dumps({**content, "evaluated_on": evaluated_on}, indent=2) + "\n"
    write_text(runs.folder / "grid.json", json_text)
    path = runs.folder / "grid.png"
    if equal is None or not equal.runs:
        draw_grid(heading, cell_runs, results, ranking, path, evaluated_on=evaluated_on)
    else:
        title = f"{runs.grid.experiment.name}: {evaluated_on} loss at equal training time"
        shown = equal.runs, equal.results, equal.ranking
        draw_grid(title, *shown, path, evaluated_on=evaluated_on, time="train_seconds")
    return report


class _EqualTime(NamedTuple):
    """The runs of equal training time, in the order of the cells; none for a cell without them."""

    runs: Sequence[CellRuns]
    results: Sequence[Result]
    ranking: Ranking

    @classmethod
    def of(cls, runs: GridRuns) -> "_EqualTime":
        found = runs.equal_time_runs()
        results = [cell_result(cell.values, records) for cell, records in found]
        return cls(found, results, rank_cells(results))

    def of_values(self, values: Mapping[str, Any]) -> tuple[float, Result] | None:
        """The epochs and the result of one cell."""
        for (cell, _), result in zip(self.runs, self.results, strict=True):
            if result.values == values:
                return sum(phase.epochs for phase in cell.experiment.phases), result
        return None


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


def _statements(ranking: Ranking, equal: _EqualTime | None, evaluated_on: str) -> tuple[str, ...]:
    statements = list(ranking.statements)
    if equal is not None:
        at_epochs = f"At equal epochs. {ranking.statements[0]}"
        statements = [*equal_time_statements(equal.results, equal.ranking), at_epochs]
    if evaluated_on == "test":
        statements.append(
            "Ranked by test images, because this source cannot hold out training images: the "
            "values chosen here look better on them than they are."
        )
    return tuple(statements)


def _rows(
    results: Sequence[Result], equal: _EqualTime | None, taken: Ranking, metric: Metric
) -> list[tuple[str, ...]]:
    """The heading, and one row for each cell."""
    names = list(results[0].values)
    score = () if metric == LOSS else (f"{metric.noun}{metric.unit}",)
    heading = (*map(title, names), "loss", *score, "n")
    rows = [(*(text_of(r.values[n]) for n in names), *_result_cells(r, metric)) for r in results]
    if equal is not None:
        names = ("epochs", "seconds", "loss", *score)
        heading = (*heading, "seconds", *(f"{name} at equal time" for name in names))
        rows = [
            (*row, *_equal_time_cells(result, equal.of_values(result.values), metric))
            for row, result in zip(rows, results, strict=True)
        ]
    if taken.advised is not None:
        values = taken.advised.values
        marks = ["taken" if result.values == values else "" for result in results]
        heading, rows = (*heading, ""), [(*r, m) for r, m in zip(rows, marks, strict=True)]
    return [heading, *rows]


def _equal_time_cells(
    result: Result, equal: tuple[float, Result] | None, metric: Metric
) -> tuple[str, ...]:
    """The seconds of a cell at equal epochs; and its epochs, seconds and values at equal time."""
    if equal is None:
        return _seconds(result), "none", "none", *_result_cells(None, metric)[:-1]
    epochs, within = equal
    return _seconds(result), f"{epochs:.3g}", _seconds(within), *_result_cells(within, metric)[:-1]


def _seconds(result: Result) -> str:
    times = list(result.seconds.values())
    return f"{statistics.fmean(times):.3g}" if times else "none"


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
    equal: _EqualTime | None,
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
    if equal is not None:
        found = [equal.of_values(r.values) for r in results]
        content["equal_time"] = [
            None if cell is None else {"epochs": cell[0], **_numbers(cell[1])} for cell in found
        ]
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
