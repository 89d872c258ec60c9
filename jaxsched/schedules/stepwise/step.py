"""Step decay at regular intervals."""

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.powers import powers, require_factor
from jaxsched.schedules.base import Number, Schedule, Time, require, schedule


@schedule
class Step(Schedule):
    """Step decay at regular intervals: the value is multiplied by a factor after each interval.

    Use it when the intervals are equal and the run has no fixed end; for chosen times see
    `MultiStep`.

    Formula:
        value · factor^⌊t / every⌋,   t ≥ 0

    The update at t = every is the first to use the new value.

    Attributes:
        value: the value during the first interval.
        every: the length of an interval, in the unit of t.
        factor: the factor after each interval.

    Raises:
        ValueError: if `every` is not above 0, or the factor is negative.

    Source:
        Caffe's "step" policy; torch's `StepLR`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Step(1.0, every=30, factor=0.5)(jnp.array([0, 29, 30, 60]))
        Array([1.  , 1.  , 0.5 , 0.25], dtype=float32)
    """

    value: Number
    every: Time
    factor: Number

    def __post_init__(self):
        require(
            lambda every: every > 0,
            self.every,
            message=f"Step needs an interval above 0, got every={self.every}; for a value that "
            "never changes use Constant.",
        )
        require_factor("Step", self.factor)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        over, _ = now.laps(self.every)
        return now.number(self.value) * powers(self.factor, over)
