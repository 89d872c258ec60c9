"""Exponential decay."""

import math

import numpy as np

from jaxsched.schedules.arithmetic.moment import Moment, Values, is_scalar
from jaxsched.schedules.arithmetic.powers import powers, require_factor
from jaxsched.schedules.base import Number, Schedule, later, require, schedule
from jaxsched.schedules.span import Span, span_of


@schedule
class Exponential(Schedule):
    """Exponential decay: the value is multiplied by the same factor in every unit of time.

    Use it for a smooth decay that does not depend on the length of the run, and with a rate above 1
    for the rising learning rate of a range test.

    Formula:
        value · rate^t,   t ≥ 0;   max(…, end) where it falls, min(…, end) where it rises

    Attributes:
        value: the value at t = 0.
        rate: the factor per unit of time. Above 1 the value rises, up to e⁶⁴ times `value`.
        end: the value that it keeps once it is there; None if there is none.

    Raises:
        ValueError: if the rate is negative, or `end` lies on the other side of `value`.

    Source:
        Robbins-Monro practice; torch's `ExponentialLR`, Caffe's "exp", and with an end
        `optax.exponential_decay`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Exponential(1.0, rate=0.5)(jnp.array([-1, 0, 1, 2]))
        Array([1.  , 1.  , 0.5 , 0.25], dtype=float32)
        >>> js.Exponential(1.0, rate=0.5, end=0.3)(jnp.array([1, 2, 3]))
        Array([0.5, 0.3, 0.3], dtype=float32)
    """

    value: Number
    rate: Number
    end: Number | None = later(default=None)

    def __post_init__(self):
        require_factor("Exponential", self.rate)
        if self.end is not None:
            require(
                lambda value, rate, end: np.where(rate > 1, value <= end, value >= end),
                self.value,
                self.rate,
                self.end,
                message=f"Exponential goes from value={self.value} at the rate {self.rate} away "
                f"from end={self.end}; give an end that it reaches.",
            )

    def span(self) -> Span:
        """See `Schedule.span`."""
        if self.end is None or not (
            is_scalar(self.value) and is_scalar(self.rate) and is_scalar(self.end)
        ):
            return Span()
        share = self.end / self.value if self.value else 1.0
        if share == 1:
            return span_of(math.inf, 0)
        if self.rate == 1 or share <= 0:
            return Span()
        reached = math.log(share) / math.log(self.rate) if self.rate else 0.0
        return span_of(math.inf, reached)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp = now.xp
        value = now.number(self.value) * powers(self.rate, xp.maximum(now.elapsed, 0.0))
        if self.end is None:
            return value
        end = now.number(self.end)
        rises = now.number(self.rate) > 1
        return xp.where(rises, xp.minimum(value, end), xp.maximum(value, end))
