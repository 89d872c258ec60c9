"""The trend of a range test's curve, and whether it is more than noise."""

from dataclasses import dataclass

import numpy as np

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.smoothing import (
    centred_mean,
    debiased_mean,
    effective_numbers,
    effective_numbers_so_far,
    local_slope,
    noise_sd,
)

# Curves with fewer points have no trend.
MIN_POINTS = 10

# An improvement counts from this many standard errors on. It is measured at the lowest of many
# means, which would exceed the usual 2 by chance; fewer than 1 in 100 flat curves exceed 4.
_CLEAR_ERRORS = 4.0


@dataclass(frozen=True, eq=False)
class Trend:
    """Smoothed losses over log values at m points, with standard errors.

    Attributes:
        values: f64[m], above 0.
        losses: f64[m], before smoothing, less the first of them: sums of these keep the digits that
            a large common offset would take.
        beta: β of the means.
        smoothed: f64[m], the centred means of the losses.
        errors: f64[m], their standard errors: noise / √(effective number of points).
        slopes: f64[m], the slopes of the losses per decade of the value.
        slope_errors: f64[m], their standard errors.
        noise: the standard deviation of a loss around the trend.
        resolution: the smallest change of the loss that its float type can represent.
        ends_above_start: whether the losses rise above their start for good after the last point.
    """

    values: np.ndarray
    losses: np.ndarray
    beta: float
    smoothed: np.ndarray
    errors: np.ndarray
    slopes: np.ndarray
    slope_errors: np.ndarray
    noise: float
    resolution: float
    ends_above_start: bool

    @property
    def bottom(self) -> int:
        """The index of the lowest smoothed loss."""
        return int(self.smoothed.argmin())

    @property
    def improvement(self) -> float:
        """The smoothed loss at the first value minus the lowest smoothed loss."""
        return float(self.smoothed[0] - self.smoothed[self.bottom])

    @property
    def is_flat(self) -> bool:
        """Whether the improvement may be noise: it is at most 4 of its standard errors."""
        return self.improvement <= max(
            _CLEAR_ERRORS * float(np.hypot(self.errors[0], self.errors[self.bottom])),
            self.resolution,
        )

    @property
    def last_at_bottom(self) -> int | None:
        """The last point before the loss rises from its minimum by more than the noise.

        Formula, with b the bottom, m_i the debiased mean of L_b … L_i for β², and e the standard
        errors:
            i − 1 for the first i > b with m_i > smoothed_b + 2 √(e_i² + e_b²)

        The debiased mean is used because the centred mean rises before the losses do: it includes
        the losses that follow. The debiased mean rises a little late, at most by half of its memory
        where the losses rise slowly. If no m_i is that high, it is the last point of all if the
        losses rise for good after it, and None otherwise.
        """
        after, beta = self.losses[self.bottom :], self.beta**2
        errors = self.noise / np.sqrt(effective_numbers_so_far(len(after), beta))
        allowed = 2 * np.hypot(errors, self.errors[self.bottom])
        risen = debiased_mean(after, beta) > self.smoothed[self.bottom] + allowed
        risen_at = np.flatnonzero(risen[1:])
        if len(risen_at):
            return self.bottom + int(risen_at[0])
        return len(self.losses) - 1 if self.ends_above_start else None


def find_trend(curve: RangeCurve) -> Trend | None:
    """The trend of a curve's losses, or None if the rules can use fewer than 10 points of it.

    Args:
        curve: the curve of one run.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.trend import find_trend
        >>> rates, noise = np.geomspace(1e-5, 1, 200), np.random.default_rng(0).normal(0, 0.1, 200)
        >>> find_trend(js.RangeCurve(rates, 2.3 + noise)).is_flat
        True
        >>> trend = find_trend(js.RangeCurve(rates, 2.3 - 1.5 / (1 + 0.01 / rates) + noise))
        >>> trend.is_flat, round(trend.noise, 2)
        (False, 0.1)
    """
    return _trend(curve, curve.looked_at_losses)


def find_accuracy_trend(curve: RangeCurve) -> Trend | None:
    """The trend of −accuracy at the updates that the rules use.

    None if the curve has no accuracies, or too few points.

    Args:
        curve: the curve of one run.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> from jaxsched.lr_finder.trend import find_accuracy_trend
        >>> rates = np.geomspace(1e-5, 1, 101)
        >>> accuracies = np.interp(np.log10(rates), [-5, -2, -1, 0], [0.1, 0.9, 0.9, 0.1])
        >>> accuracies += np.random.default_rng(0).normal(0, 0.05, 101)
        >>> trend = find_accuracy_trend(js.RangeCurve(rates, 2.3 - accuracies, accuracies))
        >>> float(trend.values[trend.last_at_bottom].round(2))
        0.13
    """
    return None if curve.accuracies is None else _trend(curve, -curve.accuracies[curve.looked_at])


def _trend(curve: RangeCurve, losses: np.ndarray) -> Trend | None:
    if len(losses) < MIN_POINTS:
        return None
    resolution, losses = _resolution(losses), losses - losses[0]
    beta, noise = curve.beta, noise_sd(losses, curve.beta)
    values = curve.values[curve.looked_at]
    slopes, slope_errors = local_slope(np.log10(values), losses, beta)
    return Trend(
        values=values,
        losses=losses,
        beta=beta,
        smoothed=centred_mean(losses, beta),
        errors=noise / np.sqrt(effective_numbers(len(losses), beta)),
        slopes=slopes,
        slope_errors=noise * slope_errors,
        noise=noise,
        resolution=resolution,
        ends_above_start=curve.ends_above_start,
    )


def _resolution(losses: np.ndarray) -> float:
    """The smallest change at the largest loss: in float32 if all losses are float32 numbers."""
    with np.errstate(over="ignore"):
        is_single = np.array_equal(losses.astype(np.float32), losses)
    return float(np.finfo(np.float32 if is_single else np.float64).eps * np.abs(losses).max())
