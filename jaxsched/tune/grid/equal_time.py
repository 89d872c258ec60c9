"""Batch sizes compared at equal training time, beside equal epochs. Knows no JAX."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxsched.text import format_values
from jaxsched.tracking.records import Record
from jaxsched.tune.grid.ranking import Result


def time_budget(records: Sequence[Record]) -> float:
    """What the fastest run that came to its end trained, in seconds; infinite where none did."""
    ended = [r for r in records if r.evaluations and r.end and r.end["status"] != "diverged"]
    return min((r.evaluations[-1]["train_seconds"] for r in ended), default=math.inf)


def result_within(
    values: Mapping[str, Any], records: Sequence[Record], seconds: float
) -> Result | None:
    """What the runs of one cell say at their last evaluation within so many training seconds.

    Compilation and evaluation do not count as training. A run that diverged does so here too.

    Args:
        values: of the cell.
        records: a record a seed, at least one.
        seconds: since the first update.

    Returns:
        None where a run has no evaluation that early.

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
    losses, accuracies, used = {}, {}, {}
    for record in records:
        seed = record.header["seed"]
        if record.end is not None and record.end["status"] == "diverged":
            losses[seed] = math.inf
            continue
        early = [row for row in record.evaluations if row["train_seconds"] <= seconds]
        if not early:
            return None
        losses[seed] = early[-1]["test_loss"]
        accuracies[seed] = early[-1]["test_accuracy"]
        used[seed] = early[-1]["train_seconds"]
    return Result(records[0].name, values, losses, accuracies, used)


def on_equal_time(results: Sequence[Result | None], seconds: float) -> str:
    """Which cell is best within the time, in words."""
    known = [r for r in results if r is not None and not r.num_diverged]
    if not known:
        return f"Within {seconds:.3g} training seconds no cell was evaluated."
    best = min(known, key=lambda r: r.loss)
    used = statistics.fmean(best.seconds.values())
    return (
        f"At equal time, the {seconds:.3g} training seconds of the fastest: best is "
        f"{format_values(best.values)}, with loss {best.loss:.4g} at its last evaluation within it "
        f"(after {used:.3g} seconds)."
    )
