"""When a run reaches the target."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from jaxsched.bench.study.target import Target
from jaxsched.bench.values import value_of
from jaxsched.tracking.records import Record

# The fields of an evaluation that measure how far a run is.
TimeAxis: TypeAlias = Literal["step", "examples", "epoch", "train_seconds"]


def recorded_axes(records: Sequence[Record]) -> tuple[TimeAxis, ...]:
    """Returns the axes of time that all evaluations of these runs have."""
    rows = [row for record in records for row in record.evaluations]
    return tuple(axis for axis in get_args(TimeAxis) if all(axis in row for row in rows))


def first_at_target(record: Record, target: Target) -> Mapping[str, Any] | None:
    """Returns the run's first evaluation that is as good as the target; None if it has none."""
    for row in record.evaluations:
        value = value_of(row, target.metric.name)
        if value is not None and target.metric.reaches(value, target.value):
            return row
    return None


def times_to_target(records: Sequence[Record], target: Target, time_axis: TimeAxis) -> list[float]:
    """Returns how long each run took to reach the target, `math.inf` if it never did.

    Args:
        records: runs that ended. A run that reached the target and diverged or failed later has
            reached it.
        target: the value to reach.
        time_axis: the unit of time: updates, examples, epochs or training seconds.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import Target, times_to_target
        >>> from jaxsched.metric import Metric
        >>> rows = tuple({"step": 10 * n, "test_loss": 4 - n / 2} for n in range(1, 9))
        >>> target = Target(1.0, Metric("test_loss", "lower"))
        >>> times_to_target([Record({}, rows, {}), Record({}, rows[:4], {})], target, "step")
        [60.0, inf]
    """
    firsts = [first_at_target(record, target) for record in records]
    return [math.inf if first is None else float(first[time_axis]) for first in firsts]
