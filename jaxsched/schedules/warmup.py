"""Linear warm-up into any schedule."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.base import (
    Number,
    Schedule,
    ScheduleLike,
    Time,
    as_float,
    done_and_left,
    require_duration,
    same_kind,
    schedule,
)
from jaxsched.schedules.function import as_schedule


@schedule
class Warmup(Schedule):
    """Combinator: a linear warm-up that meets the schedule's own curve and then follows it.

    Use it for large batches, large learning rates, and Adam's first updates.

    Formula:
        start + (schedule(duration) − start) · t / duration   for t < duration
        schedule(t)                                           from then on

    The schedule keeps its own clock: `Warmup(MultiStep(0.1, (30, 60)), 5)` still drops at 30 and
    60, and `Warmup(Cosine(0.1, 90), 5)` still ends at 90. The curve has no jump.

    Attributes:
        schedule: the schedule to warm up to, or any function of time.
        duration: the length of the warm-up, in the unit of t; 5 epochs is usual for large batches.
        start: the value at t = 0. The first update uses it, so with 0 that update changes nothing;
            warm-ups of the form "(t + 1) / W" start at peak / (number of warm-up updates).

    Raises:
        ValueError: if the duration is negative, or `schedule` is not callable.

    Source:
        Goyal et al., "Accurate, large minibatch SGD" (arXiv 1706.02677), section 2.2.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> warm = js.Warmup(js.Constant(0.4), duration=4, start=0.1)
        >>> warm(jnp.array([0, 2, 4, 100]))
        Array([0.1 , 0.25, 0.4 , 0.4 ], dtype=float32)
    """

    schedule: ScheduleLike
    duration: Time
    start: Number = 0.0

    def __post_init__(self):
        object.__setattr__(self, "schedule", as_schedule("Warmup", self.schedule))
        require_duration("Warmup", self.duration)

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        done, left = done_and_left(t, self.duration)
        ramp = as_float(self.start) * left + as_float(self.schedule(self.duration)) * done
        now, end = same_kind(t, self.duration)
        return jnp.where(now < end, ramp, as_float(self.schedule(t)))
