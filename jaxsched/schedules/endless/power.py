"""Power-law decay under a ceiling."""

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, require, schedule


@schedule
class Power(Schedule):
    """Power-law decay: falls as a power of time, has no end, and is never above a peak.

    Use it for language models whose number of training tokens is not known in advance. The paper
    fitted it over model sizes and token counts with t in tokens and amplitude = 4 · (sequences in a
    batch).

    Formula:
        min(peak, amplitude · t^exponent)

    Add a warm-up and a cool-down over the last tenth with the combinators:
    `Product((Warmup(Power(...), 1e8), WSD(1.0, duration, cooldown, end=0.01,
    shape="exponential")))`.

    Attributes:
        peak: the ceiling; 0.02 in the paper (with µP).
        amplitude: the value of the power alone at t = 1.
        exponent: the exponent of time; −0.51 in the paper.

    Raises:
        ValueError: if the exponent is above 0, or the amplitude is negative.

    Source:
        Shen et al., "Power scheduler" (arXiv 2408.13359), equation 5.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Power(0.5, amplitude=1.0, exponent=-0.5)(jnp.array([0, 1, 4, 100]))
        Array([0.5, 0.5, 0.5, 0.1], dtype=float32)
    """

    peak: Number
    amplitude: Number
    exponent: Number = -0.51

    def __post_init__(self):
        require(
            lambda exponent: exponent <= 0,
            self.exponent,
            message=f"Power falls, got exponent={self.exponent}, which would rise; negate it.",
        )
        require(
            lambda amplitude: amplitude >= 0,
            self.amplitude,
            message=f"Power needs an amplitude of at least 0, got amplitude={self.amplitude}.",
        )

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp, elapsed, peak = now.xp, now.elapsed, now.number(self.peak)
        begun = elapsed > 0
        power = now.number(self.amplitude) * xp.where(begun, elapsed, 1.0) ** now.number(
            self.exponent
        )
        return xp.where(begun, xp.minimum(peak, power), peak)
