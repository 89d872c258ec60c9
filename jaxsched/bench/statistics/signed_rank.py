"""Wilcoxon's signed-rank test, exact with ties."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class SignedRank(NamedTuple):
    """A test of whether paired times differ.

    Attributes:
        p_value: the two-sided p-value.
        effect_size: the rank-biserial correlation: −1 if the first time is the shorter one in all
            pairs that differ, 1 if it is the longer one, 0 if the ranks balance.
    """

    p_value: float
    effect_size: float


def signed_rank_test(ratios: Sequence[float]) -> SignedRank | None:
    """Tests whether paired times differ, from their ratios.

    Formula:
        W = sum of the ranks of |log rᵢ| over the pairs with log rᵢ > 0; pairs with rᵢ = 1 are
            dropped, tied pairs share the mean of their ranks
        p = 2 · min(P(W' ≤ W), P(W' ≥ W)), where W' gives each rank either sign with chance 1/2
        effect_size = 2 · W / (sum of all ranks) − 1

    Args:
        ratios: one a pair; 0 and `math.inf` are the largest changes.

    Returns:
        The test; None for fewer than two pairs. If fewer than two of them differ, p is 1.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods" (1945); Kerby, "The simple difference
        formula" (2014), of the effect size.

    Example:
        >>> from jaxsched.bench.statistics.signed_rank import signed_rank_test
        >>> signed_rank_test([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])  # 2 / 2⁶
        SignedRank(p_value=0.03125, effect_size=-1.0)
    """
    if len(ratios) < 2:
        return None
    with np.errstate(divide="ignore"):  # log 0 = −∞, the largest gain
        logs = np.round(np.log(np.array(ratios)), 12)  # so that 0.8 and 1 / 0.8 tie
    differing = logs[logs != 0]
    if not differing.size:
        return SignedRank(1.0, 0.0)
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
    p_value = float(min(1.0, 2 * chances[: smaller + 1].sum()))
    return SignedRank(p_value, 2 * positive / total - 1)
