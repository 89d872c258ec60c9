"""Inverse-time decay."""

from jaxsched.schedules.arithmetic.blend import require_positive
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.times import as_number
from jaxsched.schedules.base import Number, Schedule, Time, require_length, schedule


@schedule
class InverseTime(Schedule):
    """Inverse-time decay: falls as one over time, or a power of it, and has no end.

    Use it when the length of the run is not known in advance; it is the classic decay of stochastic
    approximation, whose sum is infinite and whose sum of squares is not.

    Formula:
        peak / (1 + s / timescale)^power
        s = t, or every · ⌊t / every⌋ in steps

    Caffe's "inv" is `InverseTime(base_lr, timescale=1 / gamma, power=power)`. Keras's
    `InverseTimeDecay(lr, decay_steps, decay_rate)` is `InverseTime(lr, decay_steps / decay_rate)`,
    and with `staircase` it has `every=decay_steps`.

    Attributes:
        peak: the value at t = 0.
        timescale: the time after which the value has fallen to peak / 2^power, in the unit of t.
        power: the exponent; 1, and 0.75 in Caffe's LeNet. With ½ it is the "shifted" `InverseSqrt`.
        every: the length of an interval between steps, in the unit of t; None for a smooth curve.
            The update at t = every is the first to use the new value.

    Raises:
        ValueError: if the timescale, the power or `every` is not above 0.

    Source:
        Robbins and Monro, "A stochastic approximation method" (1951); Caffe's "inv" policy.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.InverseTime(1.0, timescale=10)(jnp.array([0, 10, 30]))
        Array([1.  , 0.5 , 0.25], dtype=float32)
        >>> js.InverseTime(1.0, timescale=10, every=10)(jnp.array([9, 10, 30]))
        Array([1.  , 0.5 , 0.25], dtype=float32)
    """

    peak: Number
    timescale: Time
    power: Number = 1.0
    every: Time | None = None

    def __post_init__(self):
        require_length("InverseTime", "timescale", self.timescale)
        require_positive("InverseTime", power=self.power)
        if self.every is not None:
            require_length("InverseTime", "every", self.every)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        if self.every is None:
            elapsed = now.xp.maximum(now.elapsed, 0.0)
        else:
            over, _ = now.laps(self.every)
            elapsed = now.number(over) * now.number(as_number(self.every))
        times = 1 + elapsed / now.number(as_number(self.timescale))
        return now.number(self.peak) / times ** now.number(self.power)
