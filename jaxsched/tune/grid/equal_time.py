"""Compares batch sizes at equal training time, next to equal epochs. Imports no JAX."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxsched.text import format_values
from jaxsched.tracking.records import Record
from jaxsched.tune.grid.ranking import Result


def time_budget(records: Sequence[Record]) -> float:
    """Returns the training seconds of the fastest finished run; infinity if no run finished."""
    ended = [r for r in records if r.evaluations and r.end and r.end["status"] != "diverged"]
    return min((r.evaluations[-1]["train_seconds"] for r in ended), default=math.inf)


def result_within(
    values: Mapping[str, Any], records: Sequence[Record], seconds: float
) -> Result | None:
    """Returns a cell's result at its runs' last evaluations within a number of training seconds.

    Compilation and evaluation do not count as training. A run that diverged counts as diverged,
    whenever that was.

    Args:
        values: the values of the cell.
        records: one record for each seed, at least one.
        seconds: the training seconds since the first update.

    Returns:
        The result, or None if a run has no evaluation that early.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.2: batch sizes are to be compared at equal time.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.tune.grid.equal_time import result_within
        >>> rows = [
        ...     {"train_seconds": float(n), "test_loss": 1 / n, "test_accuracy": 0.5}
        ...     for n in (1, 2, 4)
        ... ]
        >>> record = Record({"name": "b", "seed": 0}, tuple(rows), {"status": "finished"})
        >>> result_within({"batch_size": 64}, [record], seconds=3.5).loss
        0.5
    """
    losses, scores, used = {}, {}, {}
    for record in records:
        seed = record.header["seed"]
        if record.end is not None and record.end["status"] == "diverged":
            losses[seed] = math.inf
            continue
        early = [row for row in record.evaluations if row["train_seconds"] <= seconds]
        if not early:
            return None
        losses[seed] = early[-1]["test_loss"]
        scores[seed] = early[-1][record.main_column]
        used[seed] = early[-1]["train_seconds"]
    return Result(records[0].name, values, losses, scores, used)


def equal_time_statement(results: Sequence[Result | None], seconds: float) -> str:
    """Returns a sentence that names the best cell within the training seconds."""
    known = [r for r in results if r is not None and not r.num_diverged]
    if not known:
        return f"Within {seconds:.3g} training seconds no cell was evaluated."
    best = min(known, key=lambda r: r.loss)
    used = statistics.fmean(best.seconds.values())
    return (
        f"At equal time, the {seconds:.3g} training seconds of the fastest run: best is "
        f"{format_values(best.values)}, with loss {best.loss:.4g} at its last evaluation within "
        f"that time (after {used:.3g} seconds)."
    )
