"""Exponential decay."""

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.powers import powers, require_factor
from jaxsched.schedules.base import Number, Schedule, schedule


@schedule
class Exponential(Schedule):
    """Exponential decay: the value is multiplied by the same factor in every unit of time.

    Use it for a smooth decay that does not depend on the length of the run, and with a rate above 1
    for the rising learning rate of a range test.

    Formula:
        value · rate^t,   t ≥ 0

    Attributes:
        value: the value at t = 0.
        rate: the factor per unit of time. Above 1 the value rises, up to e⁶⁴ times `value`.

    Raises:
        ValueError: if the rate is negative.

    Source:
        Robbins-Monro practice; torch's `ExponentialLR`, Caffe's "exp".

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Exponential(1.0, rate=0.5)(jnp.array([-1, 0, 1, 2]))
        Array([1.  , 1.  , 0.5 , 0.25], dtype=float32)
    """

    value: Number
    rate: Number

    def __post_init__(self):
        require_factor("Exponential", self.rate)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return now.number(self.value) * powers(self.rate, now.xp.maximum(now.elapsed, 0.0))
