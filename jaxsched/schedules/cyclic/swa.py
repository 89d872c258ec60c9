"""Learning rates for stochastic weight averaging (SWA)."""

import math
from typing import Any, cast

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.times import as_float, as_number, is_known, subtract
from jaxsched.schedules.base import Number, Schedule, Time, require, require_duration, schedule
from jaxsched.schedules.custom.interpolate import interpolate
from jaxsched.schedules.span import Span, span_of


@schedule
class SWAConstant(Schedule):
    """SWA's constant schedule: falls in a line to a constant before averaging starts.

    Use it with `average_params` when weights are averaged once an epoch.

    Formula:
        peak          up to ½ · start
        peak → swa    from ½ · start to 0.9 · start
        swa           from then on; weights are averaged from `start` on

    Attributes:
        peak: the learning rate of the first half.
        swa: the learning rate while weights are averaged; a tenth to a half of the peak.
        start: the time at which averaging starts, in the unit of t; ¾ of the usual budget.

    Raises:
        ValueError: if `start` is negative.

    Source:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization"
        (arXiv 1803.05407), as in github.com/timgaripov/swa. torch's `SWALR` begins at whatever
        value the learning rate has: see `js.compat.torch.SWALR`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.SWAConstant(0.1, swa=0.05, start=100)(jnp.array([50, 70, 90, 300]))
        Array([0.1  , 0.075, 0.05 , 0.05 ], dtype=float32)
    """

    peak: Number
    swa: Number
    start: Time

    def __post_init__(self):
        require_duration("SWAConstant", self.start)

    def span(self) -> Span:
        """See `Schedule.span`."""
        if not is_known(self.start):
            return Span()
        start = cast(Any, self.start)
        return span_of(0.5 * start, 0.9 * start)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        start = as_number(self.start)
        start = start if is_known(start) else as_float(start)
        return interpolate(
            now.since(0), (0.5 * start, 0.9 * start), (self.peak, self.swa), "linear"
        )


@schedule
class SWACyclic(Schedule):
    """SWA's cyclical schedule: falls in a line in every cycle, then jumps back up.

    Use it with `average_params` when weights are averaged at the end of each cycle. The last update
    of every cycle uses `low`, and the weights that it makes are the ones to average.

    Formula:
        (1 − u) · high + u · low,   u = (t mod cycle + update) / cycle

    Attributes:
        high: the value from which every cycle falls.
        low: the value at the last update of a cycle.
        cycle: the length of a cycle, in the unit of t.
        update: the length of one update in the unit of t: 1 where t counts updates, 1 / (updates
            per epoch) where it counts epochs.

    Raises:
        ValueError: if the cycle is not longer than 0, or shorter than one update, or `low` is above
            `high`.

    Source:
        Izmailov et al. (arXiv 1803.05407), section 3.1.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.SWACyclic(1.0, 0.2, cycle=4)(jnp.array([0, 1, 2, 3, 4]))
        Array([0.8, 0.6, 0.4, 0.2, 0.8], dtype=float32)
    """

    high: Number
    low: Number
    cycle: Time
    update: Time = 1

    def __post_init__(self):
        require(
            lambda cycle, update: (cycle > 0) & (update >= 0) & (update <= cycle),
            self.cycle,
            self.update,
            message="SWACyclic needs a cycle of at least one update, got "
            f"cycle={self.cycle} and update={self.update}.",
        )
        require(
            lambda low, high: low <= high,
            self.low,
            self.high,
            message=f"SWACyclic needs low <= high, got low={self.low}, high={self.high}; swap "
            "them.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.cycle, math.inf)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        _, in_cycle = now.laps(self.cycle)
        done, left = in_cycle.since(subtract(0, self.update)).shares(self.cycle)
        return blend(now.number(self.high), now.number(self.low), done, left, "linear")
