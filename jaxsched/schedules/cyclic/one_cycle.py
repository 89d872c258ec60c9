"""The 1cycle policy: the learning rate rises and falls once, and the momentum runs against it."""

from typing import Any, cast

from jaxsched.schedules.arithmetic.blend import Curve
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.times import as_float, as_number, is_known
from jaxsched.schedules.base import (
    Number,
    Schedule,
    Time,
    require,
    require_length,
    schedule,
    static,
)
from jaxsched.schedules.custom.interpolate import interpolate
from jaxsched.schedules.span import Span, span_of


def _interpolate_cycle(
    now: Moment,
    cycle: "OneCycle | OneCycleMomentum",
    values: tuple[Values, Values, Values],
) -> Values:
    """Goes from the first value to the second and on to the third, at the cycle's turning times.

    With three phases the first value comes again before the third.
    """
    first, second, third = values
    rise, end = cycle.rise, as_number(cycle.duration)
    turn = rise * end if is_known(rise, end) else as_float(rise) * as_float(end)
    if cycle.three_phase:
        times, heights = (0, turn, 2 * turn, end), (first, second, first, third)
    else:
        times, heights = (0, turn, end), (first, second, third)
    return interpolate(now.since(0), times, heights, cycle.anneal)


def _span(cycle: "OneCycle | OneCycleMomentum") -> Span:
    if not is_known(cycle.rise, cycle.duration):
        return Span()
    return span_of(cast(Any, cycle.rise) * cycle.duration, cycle.duration)


def _require_cycle(name: str, cycle: "OneCycle | OneCycleMomentum") -> None:
    """Raises `ValueError` if the cycle does not fit into its duration."""
    require_length(name, "duration", cycle.duration)
    most = 0.5 if cycle.three_phase else 1
    require(
        lambda rise: (rise >= 0) & (rise <= most),
        cycle.rise,
        message=f"{name} needs rise, the share of the duration at which it turns, within [0, "
        f"{most}]{' to turn twice' if cycle.three_phase else ''}, got rise={cycle.rise}.",
    )


@schedule
class OneCycle(Schedule):
    """1cycle policy: rises from a fraction of the peak to the peak, then falls to almost nothing.

    Use it for short runs at a large learning rate ("super-convergence"), with its `momentum`.

    Formula:
        peak / div_factor → peak                       during the first rise · duration
        peak → peak / (div_factor · final_div_factor)  during the rest, and kept from then on

    Each part runs along half a cosine wave or a straight line. With three phases the fall to
    peak / div_factor takes as long as the rise, and only the rest leads to the last value.

    Attributes:
        peak: the highest value; a learning-rate range test finds it.
        duration: the length of the whole cycle, in the unit of t.
        rise: the share of the duration at which the peak is reached.
        div_factor: peak / first value; 10 to 25.
        final_div_factor: first value / last value.
        anneal: "cosine" or "linear".
        three_phase: whether the first value is reached again before the last descent, as in the
            paper; then `rise` is at most ½.

    Raises:
        ValueError: if the duration is not above 0, or `rise` is outside [0, 1] ([0, ½] with three
            phases).

    Source:
        Smith and Topin, "Super-convergence" (arXiv 1708.07120), three phases; the two-phase form is
        fastai's. Torch's `OneCycleLR` turns one update earlier and ends at update duration − 1: see
        `js.compat.torch.OneCycleLR`. For the shape that the author ran see `SmithOneCycle`.

    Example:
        >>> import jaxsched as js
        >>> [round(float(js.OneCycle(1.0, duration=10)(t)), 4) for t in (0, 3, 6.5, 10)]
        [0.04, 1.0, 0.5, 0.0]
    """

    peak: Number
    duration: Time
    rise: Number = 0.3
    div_factor: Number = 25.0
    final_div_factor: Number = 1e4
    anneal: Curve = static(default="cosine")
    three_phase: bool = static(default=False)

    def __post_init__(self):
        _require_cycle("OneCycle", self)

    def span(self) -> Span:
        """See `Schedule.span`."""
        return _span(self)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        peak = now.number(self.peak)
        first = peak / now.number(self.div_factor)
        return _interpolate_cycle(
            now, self, (first, peak, first / now.number(self.final_div_factor))
        )

    def momentum(self, high: Number = 0.95, low: Number = 0.85) -> "OneCycleMomentum":
        """Returns the momentum for this cycle: lowest where the learning rate is highest.

        Args:
            high: the momentum at the beginning and the end of the cycle.
            low: the momentum at the learning rate's peak.

        Example:
            >>> import jaxsched as js
            >>> js.OneCycle(0.1, duration=10, rise=0.5).momentum(high=0.95, low=0.8)(5)
            np.float32(0.8)
        """
        return OneCycleMomentum(self.duration, high, low, self.rise, self.anneal, self.three_phase)


@schedule
class OneCycleMomentum(Schedule):
    """Momentum of the 1cycle policy: falls while the learning rate rises, then comes back.

    Use it as the momentum beside `OneCycle`, whose `momentum` makes a fitting one.

    Formula:
        high → low    during the first rise · duration
        low → high    during the rest; high from then on

    Each part runs along half a cosine wave or a straight line. With three phases the momentum is
    back at `high` when the learning rate is back at its first value.

    Attributes:
        duration: the length of the whole cycle, in the unit of t.
        high: the first and last value; 0.95 in the paper.
        low: the value at the learning rate's peak; 0.85 or 0.8 (it barely matters which).
        rise: the share of the duration at which the learning rate peaks.
        anneal: "cosine" or "linear".
        three_phase: whether the learning rate's cycle has three phases.

    Raises:
        ValueError: if the duration is not above 0, `rise` is outside [0, 1] ([0, ½] with three
            phases), or `low` is above `high`.

    Source:
        Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.3.

    Example:
        >>> import jaxsched as js
        >>> [round(float(js.OneCycleMomentum(duration=10)(t)), 4) for t in (0, 3, 6.5, 10)]
        [0.95, 0.85, 0.9, 0.95]
    """

    duration: Time
    high: Number = 0.95
    low: Number = 0.85
    rise: Number = 0.3
    anneal: Curve = static(default="cosine")
    three_phase: bool = static(default=False)

    def __post_init__(self):
        _require_cycle("OneCycleMomentum", self)
        require(
            lambda low, high: low <= high,
            self.low,
            self.high,
            message=f"OneCycleMomentum needs low <= high, got low={self.low}, high={self.high}; "
            "swap them.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return _span(self)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        high, low = now.number(self.high), now.number(self.low)
        return _interpolate_cycle(now, self, (high, low, high))
