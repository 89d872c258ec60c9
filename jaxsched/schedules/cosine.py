"""Half a cosine wave from a peak to an end."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.base import (
    Number,
    Schedule,
    as_float,
    done_and_left,
    require,
    schedule,
)


@schedule
class Cosine(Schedule):
    """Falls from a peak to an end along half a cosine wave, and stays there.

    Formula:
        end + (peak − end) · ½(1 + cos(π t / duration)),   0 ≤ t ≤ duration

    computed as sin²(½π (duration − t) / duration), the same function, which keeps its relative
    accuracy in float32 down to the last update; ½(1 + cos) loses every digit there.

    Attributes:
        peak: the value at t = 0.
        duration: the time at which `end` is reached, in the unit of t.
        end: the last value, kept past the duration (torch's recursion rises again there).

    Raises:
        ValueError: when the duration is negative, or `end` is above `peak`.

    Source:
        Loshchilov and Hutter, "SGDR" (arXiv 1608.03983), equation 5, one cycle.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Cosine(0.1, duration=50)(jnp.array([0, 25, 50, 99]))
        Array([0.1 , 0.05, 0.  , 0.  ], dtype=float32)
    """

    peak: Number
    duration: Number
    end: Number = 0.0

    def __post_init__(self):
        require(
            lambda duration: duration >= 0,
            self.duration,
            message=f"Cosine needs a duration of at least 0, got duration={self.duration}.",
        )
        require(
            lambda end, peak: end <= peak,
            self.end,
            self.peak,
            message=f"Cosine falls from peak to end, got peak={self.peak} and end={self.end}, "
            "which would rise; swap them, or use Warmup to rise first.",
        )

    def __call__(self, t: ArrayLike) -> jax.Array:
        """The value at time `t`, float32, of the shape of `t`."""
        _, left = done_and_left(t, self.duration)
        end = as_float(self.end)
        return end + (as_float(self.peak) - end) * jnp.sin(jnp.float32(0.5 * jnp.pi) * left) ** 2
