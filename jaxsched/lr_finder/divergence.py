"""When a running range test has seen enough: the loss has diverged."""

import math

import numpy as np
from numpy.typing import ArrayLike

from jaxsched.lr_finder.smoothing import debiased_mean

# The frameworks' 0.98 shows a divergence 50 updates late, by which time the losses have grown by
# many orders; a mean over ten is steady enough for a factor of 4.
_BETA = 0.9
# Means of fewer points than β remembers are noise, and the best of them would be too low.
_GUARD = round(1 / (1 - _BETA))


def find_divergence(losses: ArrayLike, factor: float = 4.0) -> int | None:
    """The first loss at which a run counts as diverged, or None.

    Formula, m_i the debiased mean with β = 0.9, b_i its lowest from the tenth on:
        the first i with L_i not finite, or m_i > b_i + (factor − 1) |b_i|   (factor · b_i above 0)

    Args:
        losses: f64[n], one an update.
        factor: how many times its best the mean may be; `math.inf` for not finite alone.

    Raises:
        ValueError: when `losses` is not a series, or factor is not above 1.

    Source:
        fastai (fastai/callback/schedule.py at 0a049e8) and Lightning (pytorch/tuner/lr_finder.py at
        0012782) stop at 4 times the best; mean and guard are ours.

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
        counted = np.where(np.arange(end) < _GUARD - 1, np.inf, means)
        best = np.minimum.accumulate(counted)
        grown = np.flatnonzero(counted[_GUARD - 1 :] > _limit(best[_GUARD - 1 :], factor))
    if len(grown):
        return int(grown[0]) + _GUARD - 1
    return end if end < len(series) else None


def has_diverged(losses: ArrayLike, factor: float = 4.0) -> bool:
    """Whether a running test may stop; see `find_divergence`.

    Args:
        losses: f64[n], those so far.
        factor: how many times its best the mean may be.

    Raises:
        ValueError: see `find_divergence`.

    Example:
        >>> from jaxsched.lr_finder.divergence import has_diverged
        >>> has_diverged([2.0] * 30), has_diverged([2.0] * 30 + [90.0])
        (False, True)
    """
    return find_divergence(losses, factor) is not None


def require_factor(factor: float) -> None:
    """Refuses a factor that every loss exceeds."""
    if not factor > 1:
        raise ValueError(f"a divergence needs a factor above 1, got {factor}; 4 is usual.")


def _limit(best: np.ndarray, factor: float) -> np.ndarray:
    """What a mean may not exceed; a loss below 0, such as a log-likelihood, may rise likewise."""
    return best + (factor - 1) * np.abs(best)
