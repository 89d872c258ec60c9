"""The first evaluation from which on the mean is significantly better than the target."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsched.bench.statistics.t_test import t_test
from jaxsched.bench.study.target import Target
from jaxsched.bench.values import value_of
from jaxsched.tracking.records import FAILED, Record


def earliest_significant(
    records: Sequence[Record], target: Target, confidence: float = 0.95
) -> Mapping[str, Any] | None:
    """Returns the first evaluation from which on the mean is significantly better than the target.

    Formula: the first mark at which, and at all later ones,
        p < 1 − confidence,   p of Student's one-sided t-test that the mean is no better

    Marks are the evaluations that all runs have at the same update. All later marks must agree, so
    that one lucky evaluation among many does not count. A run that diverged or failed has no later
    value; then nothing can be claimed of the mean.

    Args:
        records: the runs of one experiment.
        target: the value to be better than.
        confidence: the confidence of each test.

    Returns:
        The first run's row at that mark. None if there is no such mark, if there is only one run,
        or if a run diverged or failed.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import Target, earliest_significant
        >>> from jaxsched.metric import Metric
        >>> def run(*losses):
        ...     rows = enumerate(losses, start=1)
        ...     return Record({}, tuple({"step": n, "test_loss": loss} for n, loss in rows), {})
        >>> records = [run(2.7, 2.09, 2.08), run(2.2, 2.11, 2.07), run(2.7, 2.08, 2.08)]
        >>> earliest_significant(records, Target(2.1, Metric("test_loss", "lower")))["step"]
        3
    """
    died = any((record.end or {}).get("status") in ("diverged", FAILED) for record in records)
    if len(records) < 2 or died:
        return None
    earliest = None
    column = target.metric.name
    runs = [
        {row["step"]: row for row in record.evaluations if row.get(column) is not None}
        for record in records
    ]
    # From the last mark backwards, until one is not significant.
    for step in sorted(set.intersection(*map(set, runs)), reverse=True):
        values = [value_of(run[step], column) for run in runs]
        gains = [target.metric.gain(v, target.value) for v in values if v is not None]
        if len(gains) < len(runs) or not _is_above_zero(np.array(gains), confidence):
            break
        earliest = runs[0][step]
    return earliest


def _is_above_zero(gains: np.ndarray, confidence: float) -> bool:
    test = t_test(gains)
    if test is None:  # no spread: the mean is known
        return bool(gains[0] > 0)
    return test.p_above < 1 - confidence
