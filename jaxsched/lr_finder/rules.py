"""Rules that read a learning rate off the curve of a range test."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.smoothing import debiased_mean
from jaxsched.lr_finder.trend import Trend, find_accuracy_trend, find_trend

RangeRule: TypeAlias = Callable[[RangeCurve], float | None]

# A slope counts less by two standard errors; else the ends, where few points contribute, would have
# the steepest slope by chance.
_SLOPE_ERRORS = 2.0
# The improvement has started, in Smith's words, when this share of it is reached, and at least this
# many standard errors.
_START_SHARE = 0.1
_START_ERRORS = 3.0
_FASTAI_BETA = 0.98


def steepest(curve: RangeCurve) -> float | None:
    """The value where the loss falls fastest, on the log axis.

    Formula, with s the local slopes of the losses over log₁₀ value, e their standard errors:
        values[argmin (s + 2 e)]

    Args:
        curve: the curve of one run.

    Returns:
        The value; None if the curve is flat or too short.

    Source:
        fastai's `steep` has the same target; the local line and its error are ours.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.rules import steepest
        >>> rates = np.geomspace(1e-5, 1, 201)
        >>> round(steepest(js.RangeCurve(rates, 2.3 - 1.5 / (1 + 0.01 / rates))), 3)
        0.01
    """
    trend = _clear_trend(curve)
    if trend is None:
        return None
    at_least = trend.slopes + _SLOPE_ERRORS * trend.slope_errors
    return float(trend.values[at_least.argmin()])


def valley(curve: RangeCurve) -> float | None:
    """The middle of the longest decrease of the loss, as fastai finds it.

    Formula, for the longest strictly decreasing subsequence of the debiased means with β = 0.98,
    without the first tenth of the points; it has ℓ means and ends at e, the earliest if several are
    as long:
        values[e − ℓ + ⌊ℓ / 3⌋ + ⌊ℓ / 6⌋]

    The rule relies on the lag of these means: the middle between the low end of the range and the
    minimum lies below the steepest point, and the lag moves it up.

    Args:
        curve: the curve of one run.

    Returns:
        The value; None if the curve is flat or too short.

    Source:
        fastai, `valley` and `lr_find` in fastai/callback/schedule.py at 0a049e8.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.rules import valley
        >>> rates = np.geomspace(1e-5, 1, 201)
        >>> round(valley(js.RangeCurve(rates, 2.3 - 1.5 / (1 + 0.01 / rates))), 4)
        0.0053
    """
    trend = _clear_trend(curve)
    if trend is None:
        return None
    first = len(trend.losses) // 10
    means = debiased_mean(trend.losses, _FASTAI_BETA)[first:]
    # Smaller steps than a billionth of all may be rounding errors, which must not count as falls.
    lengths = _decreasing_lengths(np.round(1e9 * means / (np.ptp(means) or 1.0)))
    end = int(lengths.argmax())
    longest = int(lengths[end])
    # At a short valley at the start the index is negative, and fastai's would wrap to the end.
    middle = max(0, end - longest + longest // 3 + longest // 6)
    return float(trend.values[first + middle])


def minimum_tenth(curve: RangeCurve) -> float | None:
    """A tenth of the value where the smoothed loss is lowest.

    Formula:
        values[argmin smoothed] / 10

    Args:
        curve: the curve of one run.

    Returns:
        The value, which may be below the range; None if the curve is flat or too short.

    Source:
        fastai, `minimum` in fastai/callback/schedule.py at 0a049e8.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.rules import minimum_tenth
        >>> rates = np.geomspace(1e-5, 10, 201)
        >>> losses = 2.3 - 1.5 / (1 + 0.01 / rates) + rates**4
        >>> round(minimum_tenth(js.RangeCurve(rates, losses)), 3)
        0.022
    """
    trend = _clear_trend(curve)
    return None if trend is None else float(trend.values[trend.bottom] / 10)


def smith_max(curve: RangeCurve) -> float | None:
    """The largest value before the loss leaves its minimum, or the accuracy its maximum.

    Formula, with b where the smoothed loss is lowest, m_i the debiased mean of L_b … L_i, and e the
    standard errors of both:
        values[i − 1] for the first i > b with m_i > smoothed_b + 2 √(e_i² + e_b²)

    The same is computed for the accuracy, if the curve has one, and the smaller value counts. If
    the losses rise for good, the value is before that. Ragged accuracies count only in so far as
    they lower their mean.

    Args:
        curve: the curve of one run.

    Returns:
        The value; None if the curve is flat or too short, or the range ends before that.

    Source:
        Smith, "Cyclical learning rates" (arXiv 1506.01186), section 3.3, and "A disciplined
        approach" (arXiv 1803.09820), section 4.1, in words; the part of the noise is ours.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.rules import smith_max
        >>> rates = np.geomspace(1e-5, 10, 201)
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 201)
        >>> losses = 2.3 - 1.5 / (1 + 0.01 / rates) + rates**4 + noise
        >>> round(smith_max(js.RangeCurve(rates, losses)), 2)
        0.78
    """
    trend = _clear_trend(curve)
    if trend is None:
        return None
    trends = (trend, find_accuracy_trend(curve))
    ends = [each.last_at_bottom for each in trends if each is not None]
    known = [end for end in ends if end is not None]
    return float(trend.values[min(known)]) if known else None


def smith_min(curve: RangeCurve) -> float | None:
    """The smallest value at which the loss has clearly started to improve.

    Formula, with b where the smoothed loss is lowest, and d = smoothed_0 − smoothed_b:
        values[i + 1] for the last i < b with
        smoothed_0 − smoothed_i < max(d / 10, 3 √(e_0² + e_i²))

    Args:
        curve: the curve of one run.

    Returns:
        The value; None if the curve is flat or too short.

    Source:
        Smith, "Cyclical learning rates" (arXiv 1506.01186), section 3.3, in words; for one cycle
        he also takes a tenth or a twentieth of the maximum, which `Suggestions.minimum` does.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.rules import smith_min
        >>> rates = np.geomspace(1e-5, 1, 201)
        >>> round(smith_min(js.RangeCurve(rates, 2.3 - 1.5 / (1 + 0.01 / rates))), 4)
        0.0009
    """
    trend = _clear_trend(curve)
    if trend is None:
        return None
    before = slice(0, trend.bottom)
    # At least the first point is below what is needed, since its own gain is 0.
    gained = trend.smoothed[0] - trend.smoothed[before]
    needed = np.maximum(
        _START_SHARE * trend.improvement,
        _START_ERRORS * np.hypot(trend.errors[0], trend.errors[before]),
    )
    return float(trend.values[np.flatnonzero(gained < needed)[-1] + 1])


def bottom(curve: RangeCurve) -> float | None:
    """The middle of the curve's flat bottom, on the log axis.

    Formula:
        √(values[argmin smoothed] · smith_max)

    At the lowest loss a run stops to gain from a larger learning rate; at `smith_max` it begins to
    suffer from one.

    Args:
        curve: the curve of one run.

    Returns:
        The value; None if the curve is flat or too short, or the range ends before that.

    Source:
        Ours; experiments/checks/one_cycle_maxima.py compares it with the others.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.rules import bottom
        >>> rates = np.geomspace(1e-5, 10, 201)
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 201)
        >>> losses = 2.3 - 1.5 / (1 + 0.01 / rates) + rates**4 + noise
        >>> round(bottom(js.RangeCurve(rates, losses)), 2)
        0.45
    """
    trend, end = _clear_trend(curve), smith_max(curve)
    return None if trend is None or end is None else math.sqrt(trend.values[trend.bottom] * end)


RULES: Mapping[str, RangeRule] = MappingProxyType(
    {
        "steepest": steepest,
        "valley": valley,
        "minimum_tenth": minimum_tenth,
        "smith_max": smith_max,
        "smith_min": smith_min,
        "bottom": bottom,
    }
)


def _clear_trend(curve: RangeCurve) -> Trend | None:
    """The trend of a curve; None if it is too short or its improvement may be noise."""
    trend = find_trend(curve)
    return None if trend is None or trend.is_flat else trend


def _decreasing_lengths(series: np.ndarray) -> np.ndarray:
    """The length of the longest strictly decreasing subsequence that ends at each point."""
    lengths = np.empty(len(series), np.int64)
    # Patience sorting in O(n log n): entry k is the smallest value at which an increasing
    # subsequence of −series of length k + 1 has ended so far.
    smallest_ends: list[float] = []
    for i, value in enumerate(-series):
        shorter = bisect_left(smallest_ends, value)
        smallest_ends[shorter : shorter + 1] = [value]
        lengths[i] = shorter + 1
    return lengths
