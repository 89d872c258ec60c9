"""The rule by which a range test has diverged and may stop."""

import math

import numpy as np
from numpy.typing import ArrayLike

from jaxsched.lr_finder.smoothing import debiased_mean

# With the frameworks' 0.98 a divergence shows 50 updates late, when the losses have grown by many
# orders of magnitude; a mean over ten losses is steady enough for a factor of 4.
_BETA = 0.9
# A mean of fewer losses than this is noise, and the lowest of such means would be too low.
_MIN_LOSSES = round(1 / (1 - _BETA))


def find_divergence(losses: ArrayLike, factor: float = 4.0) -> int | None:
    """The first loss at which a run counts as diverged, or None.

    Formula, with m_i the debiased mean for β = 0.9, and b_i the lowest of m_9 … m_i:
        the first i with L_i not finite, or m_i > b_i + (factor − 1) |b_i|

    The limit is factor · b_i where b_i is positive; a loss below 0, such as a log-likelihood, may
    rise by as much.

    Args:
        losses: f64[n], one an update.
        factor: how many times its lowest value the mean may be; with `math.inf` only a loss that is
            not finite counts.

    Raises:
        ValueError: when `losses` is not a series, or factor is not above 1.

    Source:
        fastai (fastai/callback/schedule.py at 0a049e8) and Lightning (pytorch/tuner/lr_finder.py at
        0012782) stop at 4 times the best loss; the mean, of ten losses or more, is ours.

    Example:
        >>> from jaxsched.lr_finder.divergence import find_divergence
        >>> find_divergence([2.0] * 20 + [4.0, 16.0, 64.0, 256.0])
        22
        >>> find_divergence([2.0, 1.9, float("nan")]), find_divergence([2.0, 1.9])
        (2, None)
    """
    require_factor(factor)
    series = np.asarray(losses, np.float64)
    not_finite = np.flatnonzero(~np.isfinite(series))
    end = int(not_finite[0]) if len(not_finite) else len(series)
    grown = np.zeros(0, np.int64)
    if end and factor < math.inf:
        means = debiased_mean(series[:end], _BETA)
        counted = np.where(np.arange(end) < _MIN_LOSSES - 1, np.inf, means)
        best = np.minimum.accumulate(counted)
        means, best = counted[_MIN_LOSSES - 1 :], best[_MIN_LOSSES - 1 :]
        grown = np.flatnonzero(means > best + (factor - 1) * np.abs(best))
    if len(grown):
        return int(grown[0]) + _MIN_LOSSES - 1
    return end if end < len(series) else None


def has_diverged(losses: ArrayLike, factor: float = 4.0) -> bool:
    """Whether a running range test has diverged by `find_divergence`, so that it may stop.

    Args:
        losses: f64[n], all losses so far.
        factor: how many times its lowest value the mean may be.

    Raises:
        ValueError: when `losses` is not a series, or factor is not above 1.

    Example:
        >>> from jaxsched.lr_finder.divergence import has_diverged
        >>> has_diverged([2.0] * 30), has_diverged([2.0] * 30 + [90.0])
        (False, True)
    """
    return find_divergence(losses, factor) is not None


def require_factor(factor: float) -> None:
    """Raises `ValueError` for a factor that every loss would exceed."""
    if not factor > 1:
        raise ValueError(f"a divergence needs a factor above 1, got {factor}; 4 is usual.")
