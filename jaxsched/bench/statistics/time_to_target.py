"""When a run reaches the target accuracy."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from jaxsched.tracking.records import Record

# The fields of an evaluation that measure how far a run is.
TimeAxis: TypeAlias = Literal["step", "examples", "epoch", "train_seconds"]


def first_at_target(record: Record, target: float) -> Mapping[str, Any] | None:
    """Returns the run's first evaluation at or above the target accuracy; None if it has none."""
    return next((row for row in record.evaluations if row["test_accuracy"] >= target), None)


def times_to_target(records: Sequence[Record], target: float, time_axis: TimeAxis) -> list[float]:
    """Returns how long each run took to reach the target, `math.inf` if it never did.

    Args:
        records: runs that ended. A run that reached the target and diverged or failed later has
            reached it.
        target: the test accuracy to reach, a share.
        time_axis: the unit of time: updates, examples, epochs or training seconds.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import times_to_target
        >>> rows = tuple({"step": 10 * n, "test_accuracy": n / 10} for n in range(1, 9))
        >>> times_to_target([Record({}, rows, {}), Record({}, rows[:4], {})], 0.6, "step")
        [60.0, inf]
    """
    firsts = [first_at_target(record, target) for record in records]
    return [math.inf if first is None else float(first[time_axis]) for first in firsts]
