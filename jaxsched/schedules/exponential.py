"""A constant factor per unit of time."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.powers import powers, require_factor
from jaxsched.schedules.base import Number, Schedule, as_float, schedule


@schedule
class Exponential(Schedule):
    """Multiplies the value by the same rate in every unit of time.

    Formula:
        value · rate^t,   t ≥ 0

    Attributes:
        value: the value at t = 0.
        rate: what one unit of time multiplies by. Above 1 it rises, up to e⁶⁴ times the value.

    Raises:
        ValueError: when the rate is negative.

    Source:
        Robbins-Monro practice; torch's `ExponentialLR`, Caffe's "exp".

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Exponential(1.0, rate=0.5)(jnp.array([-1, 0, 1, 2]))
        Array([1.  , 1.  , 0.5 , 0.25], dtype=float32)
    """

    value: Number
    rate: Number

    def __post_init__(self):
        require_factor("Exponential", self.rate)

    def __call__(self, t: ArrayLike) -> jax.Array:
        """The value at time `t`, float32, of the shape of `t`."""
        return as_float(self.value) * powers(self.rate, jnp.maximum(as_float(t), 0.0))
