"""Holm's correction of p-values for the number of comparisons."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number, so that even one false claim among them is unlikely.

    Formula, for the k-th smallest of m, from 1:
        corrected = the largest of (m − j + 1) · pⱼ over j ≤ k, at most 1

    Args:
        p_values: those of all comparisons that are made together.

    Returns:
        The corrected p-values, in the same order.

    Source:
        Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Example:
        >>> from jaxsched.bench.statistics import holm
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(factors * np.asarray(p_values, np.float64)[order])
    return np.minimum(corrected, 1).tolist()
