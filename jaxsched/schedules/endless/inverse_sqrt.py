"""Inverse square-root decay."""

from typing import Literal

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.times import as_number
from jaxsched.schedules.base import Number, Schedule, Time, require, schedule, static


@schedule
class InverseSqrt(Schedule):
    """Inverse square-root decay: falls as one over the square root of time and has no end.

    Use it for transformers when the length of the run is not known in advance.

    Formula:
        shifted   peak / √(1 + t / timescale)               as in init2winit and big_vision
        held      peak · √(timescale / max(t, timescale))   as in tensor2tensor: flat, then falling

    The transformer schedule d^−½ · min(t^−½, t · w^−1.5) is `Warmup(InverseSqrt((d * w) ** -0.5, w,
    form="held"), w)`. The one of big_vision, which starts its clock after the warm-up, is
    `Sequence((Linear(0, peak, w), InverseSqrt(peak, timescale)), (w,))`.

    Attributes:
        peak: the value at t = 0.
        timescale: the time after which the value begins to fall ("held") or has fallen to peak / √2
            ("shifted"), in the unit of t; 10 000 updates is usual.
        form: "shifted" or "held".

    Raises:
        ValueError: if the timescale is not above 0.

    Source:
        Vaswani et al., "Attention is all you need" (arXiv 1706.03762), equation 3; Zhai et al.,
        "Scaling vision transformers" (arXiv 2106.04560), section 3.4.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.InverseSqrt(1.0, timescale=100)(jnp.array([0, 300, 9_900]))
        Array([1. , 0.5, 0.1], dtype=float32)
    """

    peak: Number
    timescale: Time
    form: Literal["shifted", "held"] = static(default="shifted")

    def __post_init__(self):
        require(
            lambda timescale: timescale > 0,
            self.timescale,
            message=f"InverseSqrt needs a timescale above 0, got timescale={self.timescale}.",
        )

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp = now.xp
        times = xp.maximum(now.elapsed, 0.0) / now.number(as_number(self.timescale))
        times = 1 + times if self.form == "shifted" else xp.maximum(times, 1)
        return now.number(self.peak) / xp.sqrt(times)
