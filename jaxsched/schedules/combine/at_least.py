"""A floor under a schedule."""

import numpy as np

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, ScheduleLike, schedule
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.schedules.span import Span

_SAMPLES = 1024  # of a run, to see whether it comes to its floor


@schedule
class AtLeast(Schedule):
    """Combinator: a schedule that never falls below a floor, and is itself above it.

    Use it for a schedule without an end value of its own: steps, restarts, a product. It cuts off,
    where `end` of a `Cosine` makes the whole curve flatter. A warm-up belongs outside, because the
    floor would lift its beginning: `Warmup(AtLeast(schedule, 1e-5), 5)`.

    Formula:
        max(schedule(t), floor)

    Attributes:
        schedule: the schedule, or any function of time.
        floor: the lowest value.

    Raises:
        ValueError: if `schedule` is not callable.

    Source:
        The `min_lr` of torch's `ReduceLROnPlateau`; Megatron-LM's `--min-lr`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.AtLeast(js.Step(1.0, every=10, factor=0.1), floor=0.05)(jnp.array([0, 10, 20, 99]))
        Array([1.  , 0.1 , 0.05, 0.05], dtype=float32)
    """

    schedule: ScheduleLike
    floor: Number

    def __post_init__(self):
        object.__setattr__(self, "schedule", as_schedule("AtLeast", self.schedule))

    def span(self) -> Span:
        """See `Schedule.span`."""
        return self.schedule.span()

    def misfits(self, until: float) -> tuple[str, ...]:
        """See `Schedule.misfits`: a floor that the schedule does not come to."""
        if not self.is_known:
            return self.schedule.misfits(until)
        lowest = np.min(self.schedule(np.linspace(0, until, _SAMPLES)))
        above = (
            f"AtLeast has a floor of {self.floor:g}, and its {type(self.schedule).__name__} does "
            f"not fall below {lowest:g} in the run.",
        )
        return self.schedule.misfits(until) + (above if lowest > self.floor else ())

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return now.xp.maximum(self.schedule.at(now), now.number(self.floor))
