"""Polynomial decay."""

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import (
    Number,
    Schedule,
    Time,
    require,
    require_duration,
    schedule,
)
from jaxsched.schedules.span import Span, span_of


@schedule
class Polynomial(Schedule):
    """Polynomial decay: goes to an end value as a power of the share of time that is left.

    Usual for semantic segmentation ("poly", power 0.9) and for large-batch training (power 2).

    Formula:
        end + (start − end) · (1 − t / duration)^power,   0 ≤ t ≤ duration

    Attributes:
        start: the value at t = 0.
        end: the last value, which is kept after the duration; it may be above `start`.
        duration: the time at which `end` is reached, in the unit of t.
        power: the exponent; 1 is a straight line, 0.9 and 2 are usual.

    Raises:
        ValueError: if the duration is negative or the power is not above 0.

    Source:
        The "poly" policy of Caffe; Chen et al., "DeepLab" (arXiv 1606.00915), section 4.1.2.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Polynomial(1.0, 0.0, duration=4, power=2)(jnp.array([0, 2, 4, 9]))
        Array([1.  , 0.25, 0.  , 0.  ], dtype=float32)
    """

    start: Number
    end: Number
    duration: Time
    power: Number

    def __post_init__(self):
        require_duration("Polynomial", self.duration)
        require(
            lambda power: power > 0,
            self.power,
            message=f"Polynomial needs a power above 0, got power={self.power}; at 0 it would "
            "never leave its start: use Constant.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp, power = now.xp, now.number(self.power)
        done, left = now.shares(self.duration)
        # The inner `where` keeps the gradient with respect to the power finite at the end.
        some = left > 0
        remaining = xp.where(some, xp.where(some, left, 1.0) ** power, 0.0)
        # 1 − remaining has few accurate digits while little is gone; expm1 has them all.
        early = done < 0.5
        little = -xp.expm1(power * xp.log1p(-xp.where(early, done, 0.0)))
        gone = xp.where(early, little, 1 - remaining)
        return blend(now.number(self.start), now.number(self.end), gone, remaining, "linear")
