"""REX: reflected exponential decay."""

from jaxsched.schedules.arithmetic.blend import require_fall
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
class Rex(Schedule):
    """Reflected exponential decay (REX): falls slowly at first and ever faster towards the end.

    Made for short training budgets, where the learning rate should stay high for most of the run.

    Formula:
        end + (peak − end) · (1 − p) / (1 − alpha · p),   p = t / duration

    Attributes:
        peak: the value at t = 0.
        duration: the time at which `end` is reached, in the unit of t.
        end: the last value, which is kept after the duration.
        alpha: how late the fall comes: 0 is a straight line, ½ is the paper's, 0.9 is that of the
            popular port (github.com/IvanVassi/REX_LR).

    Raises:
        ValueError: if the duration is negative, `end` is above `peak`, or alpha is outside [0, 1).

    Source:
        Chen, Wolfe and Kyrillidis, "REX: Revisiting budgeted training with an improved schedule"
        (arXiv 2107.04197), section 4.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Rex(1.0, duration=4)(jnp.array([0, 2, 4, 9]))
        Array([1.       , 0.6666667, 0.       , 0.       ], dtype=float32)
    """

    peak: Number
    duration: Time
    end: Number = 0.0
    alpha: Number = 0.5

    def __post_init__(self):
        require_duration("Rex", self.duration)
        require_fall("Rex", self.peak, self.end)
        require(
            lambda alpha: (alpha >= 0) & (alpha < 1),
            self.alpha,
            message=f"Rex needs alpha within [0, 1), got alpha={self.alpha}; at 1 it would never "
            "fall: use Constant.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.duration, self.duration)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        _, left = now.shares(self.duration)
        alpha, end = now.number(self.alpha), now.number(self.end)
        return end + (now.number(self.peak) - end) * left / ((1 - alpha) + alpha * left)
