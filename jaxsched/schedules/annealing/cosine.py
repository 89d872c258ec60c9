"""Cosine decay."""

from jaxsched.schedules.arithmetic.blend import (
    blend,
    half_wave,
    raised,
    require_fall,
    require_positive,
)
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, Time, later, require_duration, schedule
from jaxsched.schedules.span import Span, span_of


@schedule
class Cosine(Schedule):
    """Cosine decay: falls from a peak to an end value along half a cosine wave.

    The default choice for a run whose length is known, mostly behind a `Warmup`.

    Formula:
        end + (peak − end) · (½(1 + cos(π u)))^exponent,   u = (t / duration)^k_decay

    until t = duration; plain cosine decay has the exponent 1 and the k_decay 1.

    The same function is computed as sin²(½π (duration − t) / duration), which keeps its relative
    accuracy in float32 down to the last update; ½(1 + cos) loses every digit there.

    Attributes:
        peak: the value at t = 0.
        duration: the time at which `end` is reached, in the unit of t.
        end: the last value, which is kept after the duration (torch's recursion rises again there).
        exponent: the power of the cosine; above 1 it falls sooner and ends flatter (as in
            `optax.cosine_decay_schedule`).
        k_decay: the power of the share of time; above 1 it stays high for longer, then falls
            faster (as in timm's `CosineLRScheduler`); 1.5 to 5 in the paper.

    Raises:
        ValueError: if the duration is negative, `end` is above `peak`, or a power is not above 0.

    Source:
        Loshchilov and Hutter, "SGDR" (arXiv 1608.03983), equation 5, one cycle; Zhang and Li,
        "k-decay" (arXiv 2004.05909), for `k_decay`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Cosine(0.1, duration=50)(jnp.array([0, 25, 50, 99]))
        Array([0.1 , 0.05, 0.  , 0.  ], dtype=float32)
        >>> js.Cosine(0.1, duration=50, exponent=2)(25)
        np.float32(0.025)
    """

    peak: Number
    duration: Time
    end: Number = 0.0
    exponent: Number = later(default=1.0)
    k_decay: Number = later(default=1.0)

    def __post_init__(self):
        require_duration("Cosine", self.duration)
        require_fall("Cosine", self.peak, self.end)
        require_positive("Cosine", exponent=self.exponent, k_decay=self.k_decay)

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        done, left = raised(*now.shares(self.duration), self.k_decay)
        left, done = raised(half_wave(left), half_wave(done), self.exponent)
        return blend(now.number(self.peak), now.number(self.end), done, left, "linear")
