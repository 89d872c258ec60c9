"""Wilcoxon's signed-rank test, exact with ties."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def signed_rank_p_value(ratios: Sequence[float]) -> float | None:
    """Tests whether paired times differ, from their ratios; returns the two-sided p-value.

    Formula:
        W = sum of the ranks of |log rᵢ| over the pairs with log rᵢ > 0; pairs with rᵢ = 1 are
            dropped, tied pairs share the mean of their ranks
        p = 2 · min(P(W' ≤ W), P(W' ≥ W)), where W' gives each rank either sign with chance 1/2

    Args:
        ratios: one a pair; 0 and `math.inf` are the largest changes.

    Returns:
        The p-value; None for fewer than two pairs, 1 if fewer than two of them differ.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods" (1945).

    Example:
        >>> from jaxsched.bench.statistics.signed_rank import signed_rank_p_value
        >>> signed_rank_p_value([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])  # 2 / 2⁶
        0.03125
    """
    if len(ratios) < 2:
        return None
    with np.errstate(divide="ignore"):  # log 0 = −∞, the largest gain
        logs = np.round(np.log(np.array(ratios)), 12)  # so that 0.8 and 1 / 0.8 tie
    differing = logs[logs != 0]
    if differing.size < 2:  # both signs of a single pair are equally likely
        return 1.0
    # SciPy's exact test allows no ties, and its permutation test tries all 2ⁿ signs one by one.
    # Here the distribution of W is built up rank by rank instead. Twice the ranks are whole
    # numbers even where ties share one, so that they can be indices.
    ranks = np.rint(2 * stats.rankdata(np.abs(differing))).astype(int)
    total = int(ranks.sum())
    chances = np.ones(1)  # chances[w]: the probability that twice W' is w
    for rank in ranks:
        shifted = np.concatenate([np.zeros(rank), chances])
        chances = (np.concatenate([chances, np.zeros(rank)]) + shifted) / 2
    positive = int(ranks[differing > 0].sum())
    smaller = min(positive, total - positive)  # the distribution is symmetric
    return float(min(1.0, 2 * chances[: smaller + 1].sum()))
