"""Linear decay or rise."""

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, Time, require_duration, schedule
from jaxsched.schedules.span import Span, span_of


@schedule
class Linear(Schedule):
    """Linear schedule: goes from one value to another in a straight line and stays there.

    Use it as the decay after a warm-up, `Linear(peak, 0, duration)`, which is known as "D2Z" (decay
    to zero), or as the rising learning rate of a range test.

    Formula:
        start + (end − start) · t / duration,   0 ≤ t ≤ duration

    Attributes:
        start: the value at t = 0.
        end: the last value; it may be above `start`.
        duration: the time at which `end` is reached, in the unit of t.

    Raises:
        ValueError: if the duration is negative.

    Source:
        Bergsma et al., "Straight to zero" (arXiv 2502.15938), for the decay to exactly zero.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Linear(1.0, 0.0, duration=4)(jnp.array([-1, 0, 1, 4, 9]))
        Array([1.  , 1.  , 0.75, 0.  , 0.  ], dtype=float32)
    """

    start: Number
    end: Number
    duration: Time

    def __post_init__(self):
        require_duration("Linear", self.duration)

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        done, left = now.shares(self.duration)
        return blend(now.number(self.start), now.number(self.end), done, left, "linear")
