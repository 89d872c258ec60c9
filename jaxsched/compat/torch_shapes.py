"""Schedules of shapes that only torch has; `jaxsched.compat.torch` makes them."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jax.typing import ArrayLike

from jaxsched.schedules import Cyclic, Schedule
from jaxsched.schedules.arithmetic.moment import Moment, Values, as_moment
from jaxsched.schedules.arithmetic.times import add
from jaxsched.schedules.base import Number, Time, as_float, schedule, static

ScaleMode = Literal["cycle", "iterations"]


@schedule
class CumulativeProduct(Schedule):
    """The product of a base value and the factors of all steps so far.

    Formula:
        value · factors[0] · … · factors[t − 1],   with all factors from the last one on

    Attributes:
        value: the value at step 0.
        factors: the factors of steps 1, 2, ….

    Example:
        >>> from jaxsched.compat.torch_shapes import CumulativeProduct
        >>> CumulativeProduct(1.0, (0.5, 0.25))(2)
        np.float32(0.125)
    """

    value: Number
    factors: tuple[float, ...] = static()

    @cached_property
    def _products(self) -> np.ndarray:
        return np.cumprod([1.0, *self.factors])

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        step = now.xp.clip(now.plain, 0, len(self.factors)).astype(np.int32)
        return (now.number(self._products) * now.number(self.value))[step]


@schedule
class ScaledTriangle(Schedule):
    """A triangle from a base to a peak and back, its height times a function of the caller's.

    Formula:
        base + (peak − base) · x · scale(c),   x from 0 to 1 during `up`, back to 0 during `down`

    with c the cycle, counted from 1, or the step, counted from 0.

    Attributes:
        base: the value at the start of every cycle.
        peak: the value at the turn, where the scale is 1.
        up: the number of steps from base to peak.
        down: the number of steps back.
        scale: the factor of the height, a function written with `jax.numpy`.
        scale_mode: the argument of `scale`: "cycle" or "iterations".

    Example:
        >>> from jaxsched.compat.torch_shapes import ScaledTriangle
        >>> ScaledTriangle(0.0, 1.0, 4, 4, lambda cycle: 1 / cycle, "cycle")(12)
        Array(0.5, dtype=float32)
    """

    base: Number
    peak: Number
    up: Time
    down: Time
    scale: Callable[[Any], ArrayLike] = static()
    scale_mode: ScaleMode = static()

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        cycle, _ = now.laps(add(self.up, self.down))
        position = cycle + 1 if self.scale_mode == "cycle" else now.plain
        share = Cyclic(0.0, 1.0, self.up, self.down).at(now) * as_float(self.scale(position))
        base, peak = now.number(self.base), now.number(self.peak)
        return base + (peak - base) * share

    @property
    def is_known(self) -> bool:
        """See `Schedule.is_known`."""
        return False  # `scale` may compute with JAX


@schedule
class Held(Schedule):
    """Another schedule, which keeps from one step on the value that it has there.

    Attributes:
        schedule: the schedule.
        last: the step from which on its value stays.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.compat.torch_shapes import Held
        >>> Held(js.Linear(1.0, 0.0, 4), last=3)(9)
        np.float32(0.25)
    """

    schedule: Schedule
    last: Time

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        last = self.schedule.at(as_moment(self.last, now.xp))
        return now.xp.where(now.has_reached(self.last), last, self.schedule.at(now))
