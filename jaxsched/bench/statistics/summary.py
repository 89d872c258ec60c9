"""One row of a study's table: an experiment's time to target and accuracy over its seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxsched.bench.statistics.median import Median, median_interval
from jaxsched.bench.statistics.time_to_target import TimeAxis, first_at_target, times_to_target
from jaxsched.tracking.records import FAILED, Record

_TIME_AXES: tuple[TimeAxis, ...] = ("step", "examples", "train_seconds")
# Of a median, at 95 %; an end is None if it is infinite, all of it is None for a single run.
Interval: TypeAlias = tuple[float | None, float | None] | None


@dataclass(frozen=True)
class Summary:
    """An experiment's time to target and accuracy over its seeds.

    A run that never reached the target counts as one that needs infinitely long. So a median is
    None if half of the runs or more missed the target.

    Attributes:
        name: the experiment.
        seeds: the number of runs, n.
        reached: how many runs reached the target.
        diverged: how many runs diverged.
        failed: how many runs died of an error.
        steps: the median number of updates to the target.
        examples: the median number of examples to the target.
        seconds: the median training time to the target in seconds, without compilation and
            evaluation.
        accuracy_mean: the mean accuracy of the last evaluations; a run that diverged or failed
            counts with its last one.
        accuracy_sd: their standard deviation (n − 1); None for one run.
        accuracy_n: the number of runs with an evaluation, of which it is the mean.
        averaged_mean: `accuracy_mean` of the averaged weights; None if a run has no average.
        averaged_sd: `accuracy_sd` of the averaged weights; None if a run has no average.
        steps_interval: the 95 % interval of `steps`, see `median_interval`; an end is None if it
            is infinite, and the whole interval is None for one run.
        examples_interval: the 95 % interval of `examples`, in the same form.
        seconds_interval: the 95 % interval of `seconds`, in the same form.
        misses: for each run that missed the target, the reason in words.
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
    accuracy_n: int = 0
    averaged_mean: float | None = None
    averaged_sd: float | None = None
    steps_interval: Interval = None
    examples_interval: Interval = None
    seconds_interval: Interval = None
    misses: tuple[str, ...] = ()


def summarise(records: Sequence[Record], target: float) -> list[Summary]:
    """Summarises each experiment, in the order in which the experiments first appear.

    Args:
        records: runs that ended.
        target: the test accuracy to reach, a share.

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
    medians: dict[TimeAxis, Median] = {
        time_axis: median_interval(times_to_target(records, target, time_axis))
        for time_axis in _TIME_AXES
    }
    intervals: dict[TimeAxis, Interval] = {
        time_axis: None if median.n == 1 else (median.low, median.high)
        for time_axis, median in medians.items()
    }
    misses = [record for record in records if first_at_target(record, target) is None]
    final = _last_values(records, "test_accuracy")
    averaged = _last_values(records, "averaged_test_accuracy")
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
        accuracy_n=len(final),
        averaged_mean=statistics.fmean(averaged) if averaged else None,
        averaged_sd=statistics.stdev(averaged) if len(averaged) > 1 else None,
        steps_interval=intervals["step"],
        examples_interval=intervals["examples"],
        seconds_interval=intervals["train_seconds"],
        misses=tuple(map(_reason_of_miss, misses)),
    )


def _last_values(records: Sequence[Record], column: str) -> list[float]:
    """The column's values at the last evaluations; empty if one of them has no value."""
    rows = [record.evaluations[-1] for record in records if record.evaluations]
    if any(row.get(column) is None for row in rows):
        return []
    return [row[column] for row in rows]


def _reason_of_miss(record: Record) -> str:
    seed = f"seed {record.header.get('seed')}"
    if record.end is not None and record.status != "finished":
        return f"{seed}: {record.end.get('reason') or record.status}"
    if not record.evaluations:
        return f"{seed}: no evaluation"
    best = max(row["test_accuracy"] for row in record.evaluations)
    return f"{seed}: finished without reaching the target, best {best:.2%}"
