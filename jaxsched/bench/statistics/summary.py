"""One row of a study's table: an experiment's time to target and final value over its seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxsched.bench.statistics.median import Median, median_interval
from jaxsched.bench.statistics.time_to_target import (
    TimeAxis,
    first_at_target,
    recorded_axes,
    times_to_target,
)
from jaxsched.bench.study.target import Target
from jaxsched.bench.values import best_value, final_value
from jaxsched.tracking.records import FAILED, Record

# Of a median, at 95 %; an end is None if it is infinite, all of it is None for a single run.
Interval: TypeAlias = tuple[float | None, float | None] | None


@dataclass(frozen=True)
class Summary:
    """An experiment's time to target and final value over its seeds.

    A run that never reached the target counts as one that needs infinitely long. So a median is
    None if half of the runs or more missed the target, or if runs did not record this time.

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
        final_mean: the mean of the metric's values at the last evaluations; a run that diverged or
            failed counts with its last one, unless that is not finite.
        final_sd: their standard deviation (n − 1); None for one run.
        final_n: the number of runs with such a value, of which it is the mean.
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
    final_mean: float | None
    final_sd: float | None
    final_n: int = 0
    steps_interval: Interval = None
    examples_interval: Interval = None
    seconds_interval: Interval = None
    misses: tuple[str, ...] = ()


def summarise(records: Sequence[Record], target: Target) -> list[Summary]:
    """Summarises each experiment, in the order in which the experiments first appear.

    Args:
        records: runs that ended.
        target: the value to reach.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import Target, summarise
        >>> from jaxsched.metric import Metric
        >>> def run(seed, accuracies):
        ...     rows = [
        ...         {"step": 10 * n, "examples": 0, "train_seconds": 0.0, "test_accuracy": accuracy}
        ...         for n, accuracy in enumerate(accuracies, start=1)
        ...     ]
        ...     return Record({"name": "a", "seed": seed}, tuple(rows), {"status": "finished"})
        >>> records = [run(0, [0.8, 0.9]), run(1, [0.9, 0.9]), run(2, [0.8, 0.8])]
        >>> (summary,) = summarise(records, Target(0.9, Metric("test_accuracy", "higher", True)))
        >>> summary.reached, summary.steps
        (2, 20.0)
    """
    names = dict.fromkeys(record.name for record in records)
    return [_summary(name, [r for r in records if r.name == name], target) for name in names]


def _summary(name: str, records: Sequence[Record], target: Target) -> Summary:
    medians: dict[TimeAxis, Median] = {
        time_axis: median_interval(times_to_target(records, target, time_axis))
        for time_axis in recorded_axes(records)
    }
    intervals: dict[TimeAxis, Interval] = {
        time_axis: None if median.n == 1 else (median.low, median.high)
        for time_axis, median in medians.items()
    }
    misses = [record for record in records if first_at_target(record, target) is None]
    column = target.metric.name
    final = [v for record in records if (v := final_value(record, column)) is not None]
    return Summary(
        name=name,
        seeds=len(records),
        reached=len(records) - len(misses),
        diverged=sum(record.status == "diverged" for record in records),
        failed=sum(record.status == FAILED for record in records),
        steps=medians["step"].value,
        examples=medians["examples"].value if "examples" in medians else None,
        seconds=medians["train_seconds"].value if "train_seconds" in medians else None,
        final_mean=statistics.fmean(final) if final else None,
        final_sd=statistics.stdev(final) if len(final) > 1 else None,
        final_n=len(final),
        steps_interval=intervals["step"],
        examples_interval=intervals.get("examples"),
        seconds_interval=intervals.get("train_seconds"),
        misses=tuple(_reason_of_miss(record, target) for record in misses),
    )


def _reason_of_miss(record: Record, target: Target) -> str:
    seed = f"seed {record.header.get('seed')}"
    if record.end is not None and record.status != "finished":
        return f"{seed}: {record.end.get('reason') or record.status}"
    best = best_value(record, target.metric)
    if best is None:
        return f"{seed}: no evaluation"
    return f"{seed}: finished without reaching the target, best {target.metric.show(best)}"
