"""Steps to target over seeds. Knows no JAX: it reads what records say."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxsched.bench.statistics.median import median_interval
from jaxsched.bench.statistics.time_to_target import TimeAxis, first_at_target, times_to_target
from jaxsched.tracking.records import FAILED, Record

TIME_AXES: tuple[TimeAxis, ...] = ("step", "examples", "train_seconds")
Interval: TypeAlias = tuple[float | None, float | None] | None


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
        failed: how many of them died of an error.
        steps: median number of updates to the target.
        examples: median number of examples to the target.
        seconds: median training seconds to the target, without compilation and evaluation.
        accuracy_mean: of the last evaluations, the mean; a run that diverged or failed counts
            with its last.
        accuracy_sd: of the last evaluations, the standard deviation (n − 1); None for one run.
        averaged_mean: `accuracy_mean` of the averaged weights; None where a run has no average.
        averaged_sd: likewise.
        steps_interval: of the median, 95 %, see `median_interval`; an end is None where it is
            infinite, the whole of it for one run.
        examples_interval: likewise.
        seconds_interval: likewise.
        misses: why each run that missed did so, in words.
    """

    name: str
    seeds: int
    reached: int
    diverged: int
    failed: int
    steps: float | None
    examples: float | None
    seconds: float | None
    accuracy_mean: float | None
    accuracy_sd: float | None
    averaged_mean: float | None = None
    averaged_sd: float | None = None
    steps_interval: Interval = None
    examples_interval: Interval = None
    seconds_interval: Interval = None
    misses: tuple[str, ...] = ()


def summarise(records: Sequence[Record], target: float) -> list[Summary]:
    """One summary an experiment, in the order in which the experiments first appear.

    Args:
        records: of runs that came to their end or died.
        target: test accuracy, a share.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import summarise
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
    medians = {
        clock: median_interval(times_to_target(records, target, clock)) for clock in TIME_AXES
    }
    intervals = {
        clock: None if median.n == 1 else (median.low, median.high)
        for clock, median in medians.items()
    }
    misses = [record for record in records if first_at_target(record, target) is None]
    final, averaged = (_last(records, f"{which}test_accuracy") for which in ("", "averaged_"))
    return Summary(
        name=name,
        seeds=len(records),
        reached=len(records) - len(misses),
        diverged=sum(record.status == "diverged" for record in records),
        failed=sum(record.status == FAILED for record in records),
        steps=medians["step"].value,
        examples=medians["examples"].value,
        seconds=medians["train_seconds"].value,
        accuracy_mean=statistics.fmean(final) if final else None,
        accuracy_sd=statistics.stdev(final) if len(final) > 1 else None,
        averaged_mean=statistics.fmean(averaged) if averaged else None,
        averaged_sd=statistics.stdev(averaged) if len(averaged) > 1 else None,
        steps_interval=intervals["step"],
        examples_interval=intervals["examples"],
        seconds_interval=intervals["train_seconds"],
        misses=tuple(map(_why, misses)),
    )


def _last(records: Sequence[Record], column: str) -> list[float]:
    """What the last evaluations say; nothing where one of them does not say it."""
    rows = [record.evaluations[-1] for record in records if record.evaluations]
    if any(row.get(column) is None for row in rows):
        return []
    return [row[column] for row in rows]


def _why(record: Record) -> str:
    """Why a run never reached the target."""
    seed = f"seed {record.header.get('seed')}"
    if record.end is not None and record.status != "finished":
        return f"{seed}: {record.end.get('reason') or record.status}"
    if not record.evaluations:
        return f"{seed}: no evaluation"
    best = max(row["test_accuracy"] for row in record.evaluations)
    return f"{seed}: ended without reaching it, best {best:.2%}"
