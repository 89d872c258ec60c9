"""When runs reach a target, and where they end."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from jaxsched.tracking.records import Record

TimeAxis: TypeAlias = Literal["step", "examples", "epoch", "train_seconds"]
# Accuracies that differ by less differ by rounding alone: of a million examples, one is 1e-6.
SAME = 1e-12


def first_at_target(record: Record, target: float) -> Mapping[str, Any] | None:
    """The first evaluation at or above the target accuracy; None when there is none."""
    return next((row for row in record.evaluations if row["test_accuracy"] >= target), None)


def times_to_target(records: Sequence[Record], target: float, clock: TimeAxis) -> list[float]:
    """How long each run took to the target; infinitely long where it never got there.

    Args:
        records: of runs that came to their end or died; one that diverged or failed later has
            reached it all the same.
        target: test accuracy, a share.
        clock: updates, examples, epochs or training seconds.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import times_to_target
        >>> rows = tuple({"step": 10 * n, "test_accuracy": n / 10} for n in range(1, 9))
        >>> times_to_target([Record({}, rows, {}), Record({}, rows[:4], {})], 0.6, "step")
        [60.0, inf]
    """
    hits = [first_at_target(record, target) for record in records]
    return [math.inf if hit is None else float(hit[clock]) for hit in hits]


def final_accuracy(record: Record) -> float | None:
    """Of the last evaluation; None when there is none."""
    return record.evaluations[-1]["test_accuracy"] if record.evaluations else None


def by_seed(records: Sequence[Record], name: str) -> dict[int, Record]:
    """The runs of one experiment by their seed."""
    return {record.header["seed"]: record for record in records if record.name == name}
