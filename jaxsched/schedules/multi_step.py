"""Piecewise constant: a factor at each milestone."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.powers import first_powers, require_factor
from jaxsched.schedules.base import (
    Number,
    Schedule,
    Time,
    as_float,
    require_ascending,
    same_kind,
    schedule,
)


@schedule
class MultiStep(Schedule):
    """Multiplies the value by a factor at each milestone.

    Formula:
        value · factor^n(t), with n(t) = the number of milestones ≤ t

    The update at t = milestone is the first to use the new value, as in torch's `MultiStepLR`
    stepped once an update and in `optax.piecewise_constant_schedule` (Keras and init2winit are one
    later).

    Attributes:
        value: the value before the first milestone.
        milestones: times in ascending order, in the unit of t. A time given twice counts twice.
        factor: what each milestone multiplies by; 0.1 and 0.2 are the usual choices.

    Raises:
        ValueError: when the milestones do not ascend, or the factor is negative.

    Source:
        The step schedule of He et al., "Deep residual learning" (arXiv 1512.03385), section 4.2.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.MultiStep(1.0, milestones=(30, 60), factor=0.1)(jnp.array([29, 30, 60]))
        Array([1.  , 0.1 , 0.01], dtype=float32)
    """

    value: Number
    milestones: tuple[Time, ...]
    factor: Number = 0.1

    def __post_init__(self):
        require_ascending("MultiStep", "milestones", self.milestones)
        require_factor("MultiStep", self.factor)

    def __call__(self, t: ArrayLike) -> jax.Array:
        """The value at time `t`, float32, of the shape of `t`."""
        passed = jnp.zeros(jnp.shape(t), jnp.int32)
        for milestone in self.milestones:
            now, then = same_kind(t, milestone)
            passed += (now >= then).astype(jnp.int32)
        return as_float(self.value) * first_powers(self.factor, len(self.milestones))[passed]
