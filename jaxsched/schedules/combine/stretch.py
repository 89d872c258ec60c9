"""A schedule on a slower or a faster clock."""

from typing import Any, cast

from jaxsched.schedules.arithmetic.moment import Moment, Values, is_scalar
from jaxsched.schedules.base import Number, Schedule, ScheduleLike, require, schedule
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.schedules.span import Span


@schedule
class Stretch(Schedule):
    """Combinator: the same schedule, made longer or shorter as a whole.

    Use it to try a recipe at another training budget, or to convert the unit of time:
    `Stretch(schedule_in_epochs, updates_per_epoch)` is a schedule in updates.

    Formula:
        schedule(t / factor)

    Attributes:
        schedule: the schedule to stretch, or any function of time.
        factor: 2 makes everything last twice as long, ½ half as long.

    Raises:
        ValueError: if the factor is not above 0, or `schedule` is not callable.

    Source:
        Composer's `scale_schedule_ratio`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Stretch(js.MultiStep(1.0, (30, 60), 0.5), 10)(jnp.array([299, 300, 600]))
        Array([1.  , 0.5 , 0.25], dtype=float32)
    """

    schedule: ScheduleLike
    factor: Number

    def __post_init__(self):
        object.__setattr__(self, "schedule", as_schedule("Stretch", self.schedule))
        require(
            lambda factor: factor > 0,
            self.factor,
            message=f"Stretch needs a factor above 0, got factor={self.factor}; to make it half "
            "as long use 0.5.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        if not is_scalar(self.factor):
            return Span()
        factor = float(cast(Any, self.factor))
        return Span(*(factor * time for time in self.schedule.span()))

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return self.schedule.at(now.stretched(self.factor))
