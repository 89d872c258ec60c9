"""The sum of several schedules."""

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Schedule, ScheduleLike, schedule
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.schedules.span import Span, joint_span


@schedule
class Sum(Schedule):
    """Combinator: the sum of several schedules on the same clock; their order does not matter.

    Use it to lay a cycle over a decay, or to lift a schedule as a whole. It does not run one after
    another: for that see `Sequence`. For a floor that leaves the rest as it is see `AtLeast`.

    Formula:
        parts[0](t) + parts[1](t) + …

    Attributes:
        parts: the schedules, or any functions of time, at least one.

    Raises:
        ValueError: if there is no part, or one is not callable.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> lifted = js.Linear(1.0, 0.0, 4) + 0.5
        >>> lifted
        Sum(parts=(Linear(start=1.0, end=0.0, duration=4), Constant(value=0.5)))
        >>> lifted(jnp.array([0, 1, 4]))
        Array([1.5 , 1.25, 0.5 ], dtype=float32)
    """

    parts: tuple[ScheduleLike, ...]

    def __post_init__(self):
        if not self.parts:
            raise ValueError("Sum needs at least one part, got none.")
        parts = tuple(as_schedule("Sum", part) for part in self.parts)
        object.__setattr__(self, "parts", parts)

    def span(self) -> Span:
        """See `Schedule.span`."""
        return joint_span(part.span() for part in self.parts)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return sum((part.at(now) for part in self.parts), start=now.number(0.0))
