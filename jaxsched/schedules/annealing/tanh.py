"""Hyperbolic-tangent decay."""

from jaxsched.schedules.arithmetic.blend import blend, require_fall
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, Time, require, require_duration, schedule
from jaxsched.schedules.span import Span, span_of

# Beyond it tanh is 1 to the last digit of float64, and its exponential would overflow.
_LARGEST = 40.0


@schedule
class Tanh(Schedule):
    """Hyperbolic-tangent decay (HTD): high for long, then a fall, then low for long.

    Use it where a cosine leaves the peak too soon: how long the two flat parts are can be chosen.

    Formula:
        end + (peak − end) · ½(1 − tanh(lower + (upper − lower) · t / duration)),   t < duration
        end                                                                         from then on

    The curve only comes near its two ends: with upper = 3 the last 0.25 % are a jump to `end`.

    Attributes:
        peak: the value that it begins with, but for half of 1 + tanh(lower).
        duration: the time from which on the value is `end`, in the unit of t.
        end: the last value.
        lower: where on the curve it begins; the lower, the longer it stays high. −6 in the paper,
            −7 in timm.
        upper: where on the curve it ends; 3 in both. It is half way down at t = lower / (lower −
            upper) of the duration.

    Raises:
        ValueError: if the duration is negative, `end` is above `peak`, or `lower` is not below
            `upper`.

    Source:
        Hsueh, Li and Wu, "Stochastic gradient descent with hyperbolic-tangent decay on
        classification" (arXiv 1806.01593), equation 4; timm's `TanhLRScheduler`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Tanh(1.0, duration=90)(jnp.array([30, 60, 89, 90])).round(4)
        Array([0.9975, 0.5   , 0.003 , 0.    ], dtype=float32)
    """

    peak: Number
    duration: Time
    end: Number = 0.0
    lower: Number = -6.0
    upper: Number = 3.0

    def __post_init__(self):
        require_duration("Tanh", self.duration)
        require_fall("Tanh", self.peak, self.end)
        require(
            lambda lower, upper: lower < upper,
            self.lower,
            self.upper,
            message=f"Tanh needs lower below upper, got lower={self.lower} and "
            f"upper={self.upper}; swap them.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp = now.xp
        done, left = now.shares(self.duration)
        place = blend(now.number(self.lower), now.number(self.upper), done, left, "linear")
        place = xp.clip(place, -_LARGEST, _LARGEST)
        # ½(1 ∓ tanh x), each accurate near 0.
        remaining, gone = 1 / (1 + xp.exp(2 * place)), 1 / (1 + xp.exp(-2 * place))
        peak, end = now.number(self.peak), now.number(self.end)
        return xp.where(left > 0, blend(peak, end, gone, remaining, "linear"), end)
