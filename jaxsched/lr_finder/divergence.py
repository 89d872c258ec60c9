"""The rule by which a range test has diverged and may stop."""

import math

import numpy as np
from numpy.typing import ArrayLike

# A median over this many losses is steady, outliers do not move it, and it shows a divergence four
# updates late. The first so many losses are left out, because a run may settle in them.
_MEMORY = 9
# Losses that have not fallen yet show their scale only by their changes from one to the next.
# Medians of mere noise rise by two such changes; ten leave room for noise that grows with the rate.
_CHANGES = 10.0


def find_divergence(losses: ArrayLike, factor: float = 4.0) -> int | None:
    """The first loss at which a run counts as diverged, or None.

    Formula, without the first nine losses, with m_i the median of L_{i−8} … L_i, b_i the lowest of
    these medians up to i, f_i their largest fall m_j − m_k (j < k ≤ i), and c_i the mean of
    |L_j − L_{j−1}| up to L_{i−9}:
        the first i with L_i not finite, or m_i − b_i > (factor − 1) · max(f_i, 10 c_i) > 0

    In words, for a factor of 4: the loss has risen from its lowest level by more than 3 times its
    largest fall so far, and by more than 30 times its usual change from one update to the next. The
    answer is the same for a · loss + b with a > 0, so the rule suits losses of any sign, size and
    offset; a few outliers do not matter. It needs 27 losses; before that only one that is not
    finite counts.

    Args:
        losses: f64[n], one an update.
        factor: how far the loss may rise, by (factor − 1) times its largest fall; with `math.inf`
            only a loss that is not finite counts.

    Raises:
        ValueError: when `losses` is not a series, or factor is not above 1.

    Source:
        Ours. fastai (fastai/callback/schedule.py at 0a049e8) and Lightning
        (pytorch/tuner/lr_finder.py at 0012782) stop at 4 times the best loss, which a loss near 0
        exceeds by chance and one below 0 does at once. A loss that fell from 2.3 to 0.6 stops there
        at 2.4, and here at 5.7.

    Example:
        >>> from jaxsched.lr_finder.divergence import find_divergence
        >>> losses = [2.0, 1.9] * 20 + [8.0**k for k in range(1, 7)]
        >>> find_divergence(losses), find_divergence([loss - 5 for loss in losses])
        (44, 44)
        >>> find_divergence([2.0, 1.9, float("nan")]), find_divergence([2.0, 1.9])
        (2, None)
    """
    require_factor(factor)
    series = np.asarray(losses, np.float64)
    if series.ndim != 1:
        raise ValueError(
            f"a divergence is found in a series of losses, got an array of shape {series.shape}."
        )
    not_finite = np.flatnonzero(~np.isfinite(series))
    end = int(not_finite[0]) if len(not_finite) else len(series)
    if factor < math.inf:
        risen = _first_rise(series[_MEMORY:end], factor)
        if risen is not None:
            return risen + _MEMORY
    return end if end < len(series) else None


def _first_rise(settled: np.ndarray, factor: float) -> int | None:
    """The first loss that the rule calls a divergence, among finite ones without the first nine."""
    first = 2 * _MEMORY - 1  # nine losses of its median, and nine older ones for c_i
    if len(settled) <= first:
        return None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(settled, _MEMORY), axis=1)
    rises = medians - np.minimum.accumulate(medians)
    falls = np.maximum.accumulate(np.maximum.accumulate(medians) - medians)
    changes = np.abs(np.diff(settled[:-_MEMORY])).cumsum()
    changes /= np.arange(1, len(changes) + 1)
    changes = changes[_MEMORY - 2 :]
    spread = np.maximum(falls[_MEMORY:], _CHANGES * changes)
    risen = np.flatnonzero((rises[_MEMORY:] > (factor - 1) * spread) & (spread > 0))
    return int(risen[0]) + first if len(risen) else None


def has_diverged(losses: ArrayLike, factor: float = 4.0) -> bool:
    """Whether a running range test has diverged by `find_divergence`, so that it may stop.

    Args:
        losses: f64[n], all losses so far.
        factor: how far the loss may rise, see `find_divergence`.

    Raises:
        ValueError: when `losses` is not a series, or factor is not above 1.

    Example:
        >>> from jaxsched.lr_finder.divergence import has_diverged
        >>> has_diverged([2.0, 1.9] * 15), has_diverged([2.0, 1.9] * 15 + [90.0] * 5)
        (False, True)
    """
    return find_divergence(losses, factor) is not None


def require_factor(factor: float) -> None:
    """Raises `ValueError` for a factor that every loss would exceed."""
    if not factor > 1:
        raise ValueError(
            f"a divergence needs a factor above 1, got {factor}; 4 is usual, and math.inf switches "
            "the rule off."
        )
