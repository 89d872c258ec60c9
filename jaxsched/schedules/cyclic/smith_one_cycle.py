"""The 1cycle policy in the shape that its author ran."""

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, Time, require, require_length, schedule
from jaxsched.schedules.cyclic.one_cycle import OneCycleMomentum
from jaxsched.schedules.span import Span, span_of
from jaxsched.schedules.units import twice


@schedule
class SmithOneCycle(Schedule):
    """1cycle policy as its author ran it: rises to a peak, then falls in a line to a small floor.

    Use it to reproduce the super-convergence results. The shape is that of the author's released
    training logs. It differs from the three phases of the paper's text
    (`OneCycle(three_phase=True)`): the falling line does not stop at the base.

    Formula:
        base + (peak − base) · t / half                   t ≤ half
        max(base / divisor, peak · (2 half − t) / half)   t > half

    Attributes:
        base: the value at t = 0; peak / 10 or peak / 12.
        peak: the highest value.
        half: the length of the rise, in the unit of t; 2 · half was 86 to 97 % of the author's
            runs.
        divisor: base / floor; 1000 in the logs, 100 in the paper's figure 8a.

    Raises:
        ValueError: if `half` is not above 0, or `divisor` is below 1.

    Source:
        The logs in github.com/lnsmith54/hyperParam1, of Smith, "A disciplined approach to neural
        network hyper-parameters" (arXiv 1803.09820).

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.SmithOneCycle(0.125, 1.0, half=2000)(jnp.array([0, 1000, 2000, 3000, 3500]))
        Array([0.125 , 0.5625, 1.    , 0.5   , 0.25  ], dtype=float32)
    """

    base: Number
    peak: Number
    half: Time
    divisor: Number = 1000.0

    def __post_init__(self):
        require_length("SmithOneCycle", "half", self.half)
        require(
            lambda divisor: divisor >= 1,
            self.divisor,
            message="SmithOneCycle needs a divisor of at least 1, so that it does not rise at the "
            f"end, got divisor={self.divisor}; it is base / floor.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.half, twice(self.half))

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp = now.xp
        risen, to_rise = now.shares(self.half)
        _, to_fall = now.since(self.half).shares(self.half)
        base, peak = now.number(self.base), now.number(self.peak)
        down = xp.maximum(base / now.number(self.divisor), peak * to_fall)
        return xp.where(to_rise > 0, blend(base, peak, risen, to_rise, "linear"), down)

    def momentum(self, high: Number = 0.95, low: Number = 0.85) -> OneCycleMomentum:
        """Returns the momentum for this cycle: `low` at the peak, and `high` from 2 · half on.

        The author's Caffe patch is `Cyclic(high, low, up=half, mode="triangular2")`: it equals this
        up to 2 · half, then begins a second dip, half as deep, which the paper does not mention.

        Args:
            high: the momentum at the beginning and the end of the cycle.
            low: the momentum at the learning rate's peak.

        Example:
            >>> import jaxsched as js
            >>> js.SmithOneCycle(0.1, 1.0, half=100).momentum()(150)
            np.float32(0.9)
            >>> js.SmithOneCycle(0.1, 1.0, half="43%").momentum().duration
            '86 %'
        """
        return OneCycleMomentum(twice(self.half), high, low, rise=0.5, anneal="linear")
