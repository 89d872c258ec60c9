"""Steps to target over seeds. Knows no JAX: it reads what records say."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxsched.bench.records import Record


@dataclass(frozen=True)
class Summary:
    """What the runs of one experiment say about it.

    A run that never reached the target counts as one that needs infinitely long. So the medians
    are None where half of the runs or more missed.

    Attributes:
        name: of the experiment.
        seeds: number of runs, n.
        reached: how many of them reached the target.
        diverged: how many of them diverged.
        steps: median number of updates to the target.
        examples: median number of examples to the target.
        seconds: median training seconds to the target, without compilation and evaluation.
        accuracy_mean: of the last evaluations, the mean; a run that diverged counts with its last.
        accuracy_sd: of the last evaluations, the standard deviation (n − 1); None for one run.
        averaged_mean: `accuracy_mean` of the averaged weights; None where a run has no average.
        averaged_sd: likewise.
    """

    name: str
    seeds: int
    reached: int
    diverged: int
    steps: float | None
    examples: float | None
    seconds: float | None
    accuracy_mean: float | None
    accuracy_sd: float | None
    averaged_mean: float | None = None
    averaged_sd: float | None = None


def first_at_target(record: Record, target: float) -> Mapping[str, Any] | None:
    """The first evaluation at or above the target accuracy; None when there is none."""
    return next((row for row in record.evaluations if row["test_accuracy"] >= target), None)


def summarise(records: Sequence[Record], target: float) -> list[Summary]:
    """One summary an experiment, in the order in which the experiments first appear.

    Args:
        records: of runs that came to their end.
        target: test accuracy, a share.

    Example:
        >>> from jaxsched.bench import Record, summarise
        >>> def run(seed, accuracies):
        ...     rows = [
        ...         {"step": 10 * n, "examples": 0, "train_seconds": 0.0, "test_accuracy": accuracy}
        ...         for n, accuracy in enumerate(accuracies, start=1)
        ...     ]
        ...     return Record({"name": "a", "seed": seed}, tuple(rows), {"status": "finished"})
        >>> records = [run(0, [0.8, 0.9]), run(1, [0.9, 0.9]), run(2, [0.8, 0.8])]
        >>> (summary,) = summarise(records, target=0.9)
        >>> summary.reached, summary.steps
        (2, 20.0)
    """
    names = dict.fromkeys(record.name for record in records)
    return [_summary(name, [r for r in records if r.name == name], target) for name in names]


def _summary(name: str, records: Sequence[Record], target: float) -> Summary:
    hits = [first_at_target(record, target) for record in records]

    def median(column: str) -> float | None:
        value = statistics.median(math.inf if hit is None else float(hit[column]) for hit in hits)
        return value if math.isfinite(value) else None

    final, averaged = (_last(records, f"{which}test_accuracy") for which in ("", "averaged_"))
    return Summary(
        name=name,
        seeds=len(records),
        reached=sum(hit is not None for hit in hits),
        diverged=sum(
            record.end is not None and record.end["status"] == "diverged" for record in records
        ),
        steps=median("step"),
        examples=median("examples"),
        seconds=median("train_seconds"),
        accuracy_mean=statistics.fmean(final) if final else None,
        accuracy_sd=statistics.stdev(final) if len(final) > 1 else None,
        averaged_mean=statistics.fmean(averaged) if averaged else None,
        averaged_sd=statistics.stdev(averaged) if len(averaged) > 1 else None,
    )


def _last(records: Sequence[Record], column: str) -> list[float]:
    """What the last evaluations say; nothing where one of them does not say it."""
    rows = [record.evaluations[-1] for record in records if record.evaluations]
    if any(row.get(column) is None for row in rows):
        return []
    return [row[column] for row in rows]
