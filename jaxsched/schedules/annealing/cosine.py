"""Cosine decay."""

from jaxsched.schedules.arithmetic.blend import blend, require_fall
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, Time, require_duration, schedule
from jaxsched.schedules.span import Span, span_of


@schedule
class Cosine(Schedule):
    """Cosine decay: falls from a peak to an end value along half a cosine wave.

    The default choice for a run whose length is known, mostly behind a `Warmup`.

    Formula:
        end + (peak − end) · ½(1 + cos(π t / duration)),   0 ≤ t ≤ duration

    The same function is computed as sin²(½π (duration − t) / duration), which keeps its relative
    accuracy in float32 down to the last update; ½(1 + cos) loses every digit there.

    Attributes:
        peak: the value at t = 0.
        duration: the time at which `end` is reached, in the unit of t.
        end: the last value, which is kept after the duration (torch's recursion rises again there).

    Raises:
        ValueError: if the duration is negative, or `end` is above `peak`.

    Source:
        Loshchilov and Hutter, "SGDR" (arXiv 1608.03983), equation 5, one cycle.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Cosine(0.1, duration=50)(jnp.array([0, 25, 50, 99]))
        Array([0.1 , 0.05, 0.  , 0.  ], dtype=float32)
    """

    peak: Number
    duration: Time
    end: Number = 0.0

    def __post_init__(self):
        require_duration("Cosine", self.duration)
        require_fall("Cosine", self.peak, self.end)

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        done, left = now.shares(self.duration)
        return blend(now.number(self.peak), now.number(self.end), done, left, "cosine")
