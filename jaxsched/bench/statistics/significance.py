"""The first evaluation from which on the mean accuracy is significantly above the target."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsched.bench.statistics.t_test import t_test
from jaxsched.tracking.records import FAILED, Record


def earliest_significant(
    records: Sequence[Record], target: float, confidence: float = 0.95
) -> Mapping[str, Any] | None:
    """Returns the first evaluation from which on the mean accuracy is significantly above target.

    Formula: the first mark at which, and at all later ones,
        p < 1 − confidence,   p of Student's one-sided t-test of mean accuracy ≤ target

    Marks are the evaluations that all runs have at the same update. All later marks must agree, so
    that one lucky evaluation among many does not count. A run that diverged or failed has no later
    accuracy; then nothing can be claimed of the mean.

    Args:
        records: the runs of one experiment.
        target: the test accuracy to exceed, a share.
        confidence: the confidence of each test.

    Returns:
        The first run's row at that mark. None if there is no such mark, if there is only one run,
        or if a run diverged or failed.

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
    earliest = None
    runs = [{row["step"]: row for row in record.evaluations} for record in records]
    # From the last mark backwards, until one is not significant.
    for step in sorted(set.intersection(*map(set, runs)), reverse=True):
        excess = np.array([run[step]["test_accuracy"] for run in runs]) - target
        if not _is_above_zero(excess, confidence):
            break
        earliest = runs[0][step]
    return earliest


def _is_above_zero(excess: np.ndarray, confidence: float) -> bool:
    test = t_test(excess, "greater")
    if test is None:  # no spread: the mean is known
        return bool(excess[0] > 0)
    return bool(test.pvalue < 1 - confidence)
