"""From when on the mean over seeds is above the target, and not by chance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from jaxsched.bench.statistics.time_to_target import SAME
from jaxsched.tracking.records import FAILED, Record


def earliest_significant(
    records: Sequence[Record], target: float, confidence: float = 0.95
) -> Mapping[str, Any] | None:
    """The first evaluation from which on the mean accuracy is significantly above the target.

    Formula: the first mark at which, and at all later ones,
        p < 1 − confidence,   p of Student's one-sided t-test of mean accuracy ≤ target

    Marks are those that all runs have at the same update. That all later ones must agree keeps one
    lucky look out of many from counting. A run that diverged or failed has no later accuracy, so
    that nothing can be said of the mean from then on.

    Args:
        records: of the runs of one experiment.
        target: test accuracy, a share.
        confidence: of each test.

    Returns:
        The first run's row at that mark; None where there is none, as with one run or
            where one diverged or failed.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import earliest_significant
        >>> def run(*accuracies):
        ...     rows = enumerate(accuracies, start=1)
        ...     return Record({}, tuple({"step": n, "test_accuracy": a} for n, a in rows), {})
        >>> records = [run(0.7, 0.91, 0.92), run(0.8, 0.89, 0.93), run(0.7, 0.92, 0.92)]
        >>> earliest_significant(records, 0.9)["step"]
        3
    """
    died = any((record.end or {}).get("status") in ("diverged", FAILED) for record in records)
    if len(records) < 2 or died:
        return None
    found = None
    runs = [{row["step"]: row for row in record.evaluations} for record in records]
    for step in sorted(set.intersection(*map(set, runs)), reverse=True):
        excess = np.array([run[step]["test_accuracy"] for run in runs]) - target
        if not _is_above(excess, confidence):
            break
        found = runs[0][step]
    return found


def _is_above(excess: np.ndarray, confidence: float) -> bool:
    if np.ptp(excess) < SAME:  # no spread at all: nothing to test
        return bool(excess[0] > 0)
    t = excess.mean() / excess.std(ddof=1) * math.sqrt(excess.size)
    return bool(stats.t.sf(t, excess.size - 1) < 1 - confidence)
