"""Polynomial decay."""

import math

from jaxsched.schedules.arithmetic.blend import blend, raised, require_positive
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import (
    Number,
    Schedule,
    Time,
    later,
    require,
    require_duration,
    require_length,
    schedule,
    static,
)
from jaxsched.schedules.span import Span, span_of


@schedule
class Polynomial(Schedule):
    """Polynomial decay: goes to an end value as a power of the share of time that is left.

    Usual for semantic segmentation ("poly", power 0.9) and for large-batch training (power 2).

    Formula:
        end + (start − end) · (1 − u^k_decay)^power
        u = t / duration up to t = duration
        u = t / (n · duration), n = ⌈t / duration⌉, with `cycle`

    With `cycle` it starts again after each duration, at u = 1 − 1 / n, so lower each time. The
    update at t = n · duration still uses `end`, as in TensorFlow and Keras.

    Attributes:
        start: the value at t = 0.
        end: the last value, which is kept after the duration; it may be above `start`.
        duration: the time at which `end` is reached, in the unit of t.
        power: the exponent; 1 is a straight line, 0.9 and 2 are usual.
        cycle: whether it starts again after each duration, without end (Keras's
            `PolynomialDecay(cycle=True)`).
        k_decay: the power of the share of time; above 1 it stays high for longer (timm's
            `PolyLRScheduler`).

    Raises:
        ValueError: if the duration is negative, or 0 with `cycle`, or a power is not above 0.

    Source:
        The "poly" policy of Caffe; Chen et al., "DeepLab" (arXiv 1606.00915), section 4.1.2; Zhang
        and Li, "k-decay" (arXiv 2004.05909), for `k_decay`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Polynomial(1.0, 0.0, duration=4, power=2)(jnp.array([0, 2, 4, 9]))
        Array([1.  , 0.25, 0.  , 0.  ], dtype=float32)
        >>> js.Polynomial(1.0, 0.0, duration=4, power=1, cycle=True)(jnp.array([3, 4, 6, 8, 9]))
        Array([0.25, 0.  , 0.25, 0.  , 0.25], dtype=float32)
    """

    start: Number
    end: Number
    duration: Time
    power: Number
    cycle: bool = static(default=False, since_later=True)
    k_decay: Number = later(default=1.0)

    def __post_init__(self):
        require_duration("Polynomial", self.duration)
        if self.cycle:
            require_length("Polynomial", "duration to start again", self.duration)
        require_positive("Polynomial", k_decay=self.k_decay)
        require(
            lambda power: power > 0,
            self.power,
            message=f"Polynomial needs a power above 0, got power={self.power}; at 0 it would "
            "never leave its start: use Constant.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, math.inf if self.cycle else self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        done, left = self._cycled(now) if self.cycle else now.shares(self.duration)
        done, left = raised(done, left, self.k_decay)
        left, done = raised(left, done, self.power)
        return blend(now.number(self.start), now.number(self.end), done, left, "linear")

    def _cycled(self, now: Moment) -> tuple[Values, Values]:
        """Returns the shares of the time from 0 to the end of this cycle that are over and left."""
        laps, in_lap = now.laps(self.duration)
        done, left = in_lap.shares(self.duration)
        laps, begun = now.number(laps), done > 0
        # Between two cycles it is the end of the earlier one, and at time 0 there is none.
        num_cycles = now.xp.maximum(laps + now.number(begun), 1)
        left = now.xp.where(begun, left, now.number(laps == 0))
        return (laps + done) / num_cycles, left / num_cycles
