"""A constant value."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.base import Number, Schedule, as_float, schedule


@schedule
class Constant(Schedule):
    """A constant: the same value at every time.

    Use it where a schedule is expected and nothing shall change, for instance as a part of a
    `Sequence` or a `Product`.

    Formula:
        value

    Attributes:
        value: the value.

    Example:
        >>> import jaxsched as js
        >>> float(js.Constant(0.5)(1_000_000))
        0.5
    """

    value: Number

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        return jnp.broadcast_to(as_float(self.value), jnp.shape(t))
