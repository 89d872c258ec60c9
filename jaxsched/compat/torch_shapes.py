"""Schedules of shapes that only torch has; `jaxsched.compat.torch` makes them."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxsched.schedules import Cyclic, Schedule
from jaxsched.schedules.base import (
    Number,
    Time,
    as_float,
    as_time,
    laps,
    same_kind,
    schedule,
    static,
)

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
        Array(0.125, dtype=float32)
    """

    value: Number
    factors: tuple[float, ...] = static()

    @cached_property
    def _products(self) -> np.ndarray:
        return np.cumprod([1.0, *self.factors])

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        step = jnp.clip(as_time(t), 0, len(self.factors)).astype(jnp.int32)
        return as_float(self.value * self._products)[step]


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

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        up, down = same_kind(self.up, self.down)
        position = laps(t, up + down)[0] + 1 if self.scale_mode == "cycle" else jnp.asarray(t)
        share = Cyclic(0.0, 1.0, up, down)(t) * as_float(self.scale(position))
        base, peak = as_float(self.base), as_float(self.peak)
        return base + (peak - base) * share


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
        Array(0.25, dtype=float32)
    """

    schedule: Schedule
    last: Time

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        return as_float(self.schedule(jnp.minimum(*same_kind(t, self.last))))
