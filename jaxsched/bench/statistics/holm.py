"""Holm's correction of p-values and of intervals for the number of comparisons."""

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
    return np.minimum(_corrected(np.asarray(p_values, np.float64)), 1).tolist()


def holm_levels(p_values: Sequence[float], level: float = 0.05) -> list[float]:
    """Returns for each comparison the level at which its interval agrees with Holm's correction.

    An interval of confidence 1 − its level leaves out "no difference" exactly where the corrected
    p-value is below `level`.

    Formula, with corrected values that are not cut at 1:
        levelₖ = level · pₖ / correctedₖ,   between level / m and level / (m − k + 1)

    Each interval alone covers the truth with at least 1 − level. All of them together do so where
    there are no differences. Those that claim a difference are no narrower than Benjamini and
    Yekutieli's, of which on average at most the share `level` misses the truth. (Intervals that
    cover together always and agree with Holm exist, but those of claimed differences have no
    end other than "no difference", unless everything is claimed.)

    Args:
        p_values: those of all comparisons that are made together.
        level: the level of the corrected p-values.

    Source:
        Benjamini and Yekutieli, "False discovery rate-adjusted multiple confidence intervals"
        (2005); Strassburger and Bretz, "Compatible simultaneous lower confidence bounds for the
        Holm procedure" (2008), of those that cover together.

    Example:
        >>> from jaxsched.bench.statistics.holm import holm_levels
        >>> [round(level, 4) for level in holm_levels([0.01, 0.04, 0.03, 0.005])]
        [0.0167, 0.0333, 0.025, 0.0125]
    """
    # A p-value of 0 is taken as the smallest number above it.
    p = np.maximum(np.asarray(p_values, np.float64), np.finfo(np.float64).tiny)
    return (level * p / _corrected(p)).tolist()


def _corrected(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(factors * p[order])
    return corrected
