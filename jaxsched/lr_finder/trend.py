"""What a range test's curve shows beyond its noise."""

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

# Fewer points have no trend.
MIN_POINTS = 10

# An improvement counts when it is so many times its standard error. The lowest of many means is
# compared, so the usual 2 would be passed by chance; 4 is by fewer than 1 in 100 flat curves.
SURE = 4.0


@dataclass(frozen=True, eq=False)
class Trend:
    """Smoothed losses over log values, with standard errors; m points.

    Attributes:
        values: f64[m], above 0.
        losses: f64[m], what was smoothed.
        beta: β of the means.
        smoothed: f64[m], centred means of the losses.
        errors: f64[m], their standard errors: noise / √(effective number of points).
        slopes: f64[m], of the losses per decade of the value.
        slope_errors: f64[m].
        noise: the standard deviation of a loss around the trend.
        resolution: a change of the loss that float32 does not tell from none.
        leaves: whether the losses left for good after the last point.
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
    leaves: bool

    @property
    def bottom(self) -> int:
        """Where the smoothed loss is lowest."""
        return int(self.smoothed.argmin())

    @property
    def improvement(self) -> float:
        """The smoothed loss at the lowest value − the lowest one."""
        return float(self.smoothed[0] - self.smoothed[self.bottom])

    @property
    def is_flat(self) -> bool:
        """Whether the improvement may be noise: below 4 of its standard errors."""
        return self.improvement <= max(
            SURE * float(np.hypot(self.errors[0], self.errors[self.bottom])), self.resolution
        )

    @property
    def last_at_bottom(self) -> int | None:
        """The last point before the smoothed loss leaves its minimum by more than the noise.

        Formula, b the bottom, m the debiased mean of L_b … L_i with β², e the standard errors:
            i − 1 for the first i > b with m_i > smoothed_b + 2 √(e_i² + e_b²)

        The centred mean rises before the losses do, as it knows what follows; this one a little
        after, by half its memory at most where they rise slowly. The last point where only what
        follows it leaves; None where nothing does.
        """
        after, memory = self.losses[self.bottom :], self.beta**2
        errors = self.noise / np.sqrt(effective_numbers_so_far(len(after), memory))
        allowed = 2 * np.hypot(errors, self.errors[self.bottom])
        far = debiased_mean(after, memory) > self.smoothed[self.bottom] + allowed
        left = np.flatnonzero(far[1:])
        if len(left):
            return self.bottom + int(left[0])
        return len(self.losses) - 1 if self.leaves else None


def find_trend(curve: RangeCurve) -> Trend | None:
    """The trend of a curve, or None where it has fewer than 10 points to look at.

    Args:
        curve: of one run.

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
    """The trend of the error, −accuracy, at the updates that are looked at; None without one.

    Args:
        curve: of one run.

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
        resolution=float(np.finfo(np.float32).eps * np.abs(losses).max()),
        leaves=curve.leaves,
    )
