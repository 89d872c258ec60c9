"""Polynomial decay."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.base import (
    Number,
    Schedule,
    Time,
    as_float,
    done_and_left,
    require,
    require_duration,
    schedule,
)


@schedule
class Polynomial(Schedule):
    """Polynomial decay: goes to an end value as a power of the share of time that is left.

    Usual for semantic segmentation ("poly", power 0.9) and for large-batch training (power 2).

    Formula:
        end + (start − end) · (1 − t / duration)^power,   0 ≤ t ≤ duration

    Attributes:
        start: the value at t = 0.
        end: the last value, which is kept after the duration; it may be above `start`.
        duration: the time at which `end` is reached, in the unit of t.
        power: the exponent; 1 is a straight line, 0.9 and 2 are usual.

    Raises:
        ValueError: if the duration is negative or the power is not above 0.

    Source:
        The "poly" policy of Caffe; Chen et al., "DeepLab" (arXiv 1606.00915), section 4.1.2.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Polynomial(1.0, 0.0, duration=4, power=2)(jnp.array([0, 2, 4, 9]))
        Array([1.  , 0.25, 0.  , 0.  ], dtype=float32)
    """

    start: Number
    end: Number
    duration: Time
    power: Number

    def __post_init__(self):
        require_duration("Polynomial", self.duration)
        require(
            lambda power: power > 0,
            self.power,
            message=f"Polynomial needs a power above 0, got power={self.power}; at 0 it would "
            "never leave its start: use Constant.",
        )

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        done, left = done_and_left(t, self.duration)
        # The inner `where` keeps the gradient with respect to the power finite at the end.
        some = left > 0
        power = as_float(self.power)
        remaining = jnp.where(some, jnp.where(some, left, 1.0) ** power, 0.0)
        # 1 − remaining has few accurate digits while little is gone; expm1 has them all.
        early = done < 0.5
        little = -jnp.expm1(power * jnp.log1p(-jnp.where(early, done, 0.0)))
        gone = jnp.where(early, little, 1 - remaining)
        return blend(self.start, self.end, gone, remaining, "linear")
