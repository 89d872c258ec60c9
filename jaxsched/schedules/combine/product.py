"""The product of several schedules."""

import math

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Schedule, ScheduleLike, schedule
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.schedules.span import Span, joint_span


@schedule
class Product(Schedule):
    """Combinator: the product of several schedules on the same clock; their order does not matter.

    Use it to scale a schedule, for which `schedule * 0.5` is short, or to add a cool-down to one.

    Formula:
        parts[0](t) · parts[1](t) · …

    Attributes:
        parts: the schedules, or any functions of time, at least one.

    Raises:
        ValueError: if there is no part, or one is not callable.

    Source:
        init2winit's "compound" schedules; torch's `ChainedScheduler`, whose result depends on the
        order of its parts.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> both = js.Product((js.Linear(1.0, 0.0, 4), js.MultiStep(1.0, (2,), 0.5)))
        >>> both(jnp.array([0, 1, 2]))
        Array([1.  , 0.75, 0.25], dtype=float32)
    """

    parts: tuple[ScheduleLike, ...]

    def __post_init__(self):
        if not self.parts:
            raise ValueError("Product needs at least one part, got none.")
        parts = tuple(as_schedule("Product", part) for part in self.parts)
        object.__setattr__(self, "parts", parts)

    def span(self) -> Span:
        """See `Schedule.span`."""
        return joint_span(part.span() for part in self.parts)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return math.prod((part.at(now) for part in self.parts), start=now.number(1.0))
