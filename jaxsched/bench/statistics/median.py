"""Medians over seeds with bootstrap intervals, where a miss counts as an infinite time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# With so many resamples the percentiles move by less than the distance between two seeds.
_NUM_RESAMPLES = 1999


@dataclass(frozen=True)
class Median:
    """A median over runs, with its interval.

    Attributes:
        n: the number of runs. A single run has no interval, because it says nothing about others.
        value: the median; None if it is infinite, which it is if half of the runs missed.
        low: the lower end of the interval; None if it is infinite or n is 1.
        high: the upper end of the interval; None if it is infinite, so that the median has no
            upper bound, or if n is 1.
    """

    n: int
    value: float | None
    low: float | None
    high: float | None


def median_interval(times: Sequence[float], confidence: float = 0.95) -> Median:
    """Computes the median of times, some of which may be infinite, with a bootstrap interval.

    Formula:
        times* = n draws with replacement from times
        low, high = quantiles of median(times*) at (1 ∓ confidence) / 2

    The quantiles are resampled medians themselves, never interpolated between two, so that an
    infinite one stays infinite. The draws are the same at every call. With few runs the interval is
    too narrow, and no method can help it: for 3 runs it is their whole range, which contains the
    true median with probability 3/4 (1 − 2^(1 − n)).

    Args:
        times: one a run, `math.inf` for a miss.
        confidence: the confidence of the interval.

    Raises:
        ValueError: if there are no runs, or if a time is NaN.

    Source:
        Efron and Tibshirani, "An introduction to the bootstrap", chapter 13.

    Example:
        >>> import math
        >>> from jaxsched.bench import median_interval
        >>> median_interval([30.0, 10.0, 20.0, math.inf, 15.0])
        Median(n=5, value=20.0, low=10.0, high=None)
    """
    found = np.asarray(times, np.float64)
    if found.size == 0 or np.isnan(found).any():
        raise ValueError(f"a median needs at least one time and no NaN, got {list(times)}.")
    value = _finite(np.median(found))
    if found.size == 1:
        return Median(1, value, None, None)
    # Sorted, so that the interval does not depend on the order of the runs.
    draws = np.random.default_rng(0).choice(np.sort(found), (_NUM_RESAMPLES, found.size))
    tail = (1 - confidence) / 2
    # NumPy's default method interpolates, which turns ∞ into NaN.
    low, high = np.quantile(np.median(draws, axis=1), (tail, 1 - tail), method="inverted_cdf")
    return Median(found.size, value, _finite(low), _finite(high))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
