"""Step decay at given milestones."""

import math

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.powers import products, require_factor
from jaxsched.schedules.base import Number, Schedule, Time, require_ascending, schedule
from jaxsched.schedules.span import Span, span_of


@schedule
class MultiStep(Schedule):
    """Step decay: the value is multiplied by a factor at each milestone.

    The classic schedule for image classifiers, with milestones from the paper whose result is to be
    reproduced.

    Formula:
        value · factor^n(t), with n(t) = the number of milestones ≤ t
        value · factor[0] · … · factor[n(t) − 1], with a factor for each milestone

    The update at t = milestone is the first to use the new value, as in torch's `MultiStepLR`
    stepped after every update and in `optax.piecewise_constant_schedule`. Keras and init2winit
    change one update later.

    Attributes:
        value: the value before the first milestone.
        milestones: times in ascending order, in the unit of t. A time given twice counts twice.
        factor: the factor at each milestone; 0.1 and 0.2 are usual. A tuple has one for each
            milestone, as has the dictionary of `optax.piecewise_constant_schedule`.

    Raises:
        ValueError: if the milestones do not ascend, a factor is negative, or there are not as many
            as milestones.

    Source:
        The step schedule of He et al., "Deep residual learning" (arXiv 1512.03385), section 4.2.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.MultiStep(1.0, milestones=(30, 60), factor=0.1)(jnp.array([29, 30, 60]))
        Array([1.  , 0.1 , 0.01], dtype=float32)
        >>> js.MultiStep(1.0, (30, 60), factor=(0.5, 0.1))(jnp.array([29, 30, 60]))
        Array([1.  , 0.5 , 0.05], dtype=float32)
    """

    value: Number
    milestones: tuple[Time, ...]
    factor: Number | tuple[Number, ...] = 0.1

    def __post_init__(self):
        require_ascending("MultiStep", "milestones", self.milestones)
        if isinstance(self.factor, tuple) and len(self.factor) != len(self.milestones):
            raise ValueError(
                f"MultiStep needs one factor, or one for each of its {len(self.milestones)} "
                f"milestones, got {len(self.factor)}: {self.factor}."
            )
        for factor in self.factor if isinstance(self.factor, tuple) else (self.factor,):
            require_factor("MultiStep", factor)

    def span(self) -> Span:
        """See `Schedule.span`."""
        # Dropping during a warm-up is odd, but what remains is still warmed up to.
        return span_of(math.inf, self.milestones[-1]) if self.milestones else Span()

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        passed = now.num_reached(self.milestones)
        factors = self.factor
        if not isinstance(factors, tuple):
            factors = (factors,) * len(self.milestones)
        return now.number(self.value) * products(factors, passed)
