"""Cyclical learning rates: triangles of constant or shrinking height."""

import dataclasses
import math
from typing import Literal

from jaxsched.schedules.arithmetic.blend import Curve, blend
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.powers import powers
from jaxsched.schedules.arithmetic.times import add
from jaxsched.schedules.base import Number, Schedule, Time, require, schedule, static
from jaxsched.schedules.span import Span, span_of


@schedule
class Cyclic(Schedule):
    """Cyclical learning rate: goes from a base to a peak and back, again and again.

    Use it for cyclical training and, by `momentum`, for the momentum that runs against the learning
    rate. For a single cycle see `OneCycle`.

    Formula:
        base + (peak − base) · scale · x,   x from 0 to 1 during `up`, back to 0 during `down`

        triangular    scale = 1
        triangular2   scale = 2^−cycle, cycle = ⌊t / (up + down)⌋
        exp_range     scale = gamma^t, of the amplitude alone or of both bounds

    Attributes:
        base: the value at the start of every cycle.
        peak: the value at the turn of the first cycle. For a momentum it is below `base`.
        up: the time from base to peak, in the unit of t; 2 to 10 epochs.
        down: the time from peak to base, in the unit of t; None means the same as `up`.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: the factor per unit of time in mode "exp_range".
        exp_range_of: what gamma^t multiplies. By the paper's text it multiplies each bound, so that
            the base decays too: "bounds". The author's Caffe code, Keras and torch multiply only
            the "amplitude" above a constant base.
        curve: "linear" for triangles; "cosine" for the paper's Hann window, which did as well.

    Raises:
        ValueError: if a duration is negative, the cycle has no length, or gamma is outside [0, 1].

    Source:
        Smith, "Cyclical learning rates" (arXiv 1506.01186), sections 3.1 and 3.2.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.Cyclic(0.5, 1.5, up=4, mode="triangular2")(jnp.array([0, 2, 4, 8, 12]))
        Array([0.5, 1. , 1.5, 0.5, 1. ], dtype=float32)
    """

    base: Number
    peak: Number
    up: Time
    down: Time | None = None
    mode: Literal["triangular", "triangular2", "exp_range"] = static(default="triangular")
    gamma: Number = 1.0
    exp_range_of: Literal["amplitude", "bounds"] = static(default="amplitude")
    curve: Curve = static(default="linear")

    def __post_init__(self):
        down = self.up if self.down is None else self.down
        require(
            lambda up, down: (up >= 0) & (down >= 0) & (up + down > 0),
            self.up,
            down,
            message="Cyclic needs ways up and down of at least 0, and not both 0, got "
            f"up={self.up} and down={self.down}.",
        )
        require(
            lambda gamma: (gamma >= 0) & (gamma <= 1),
            self.gamma,
            message=f"Cyclic needs gamma within [0, 1], got gamma={self.gamma}; above 1 the cycles "
            "would grow without bound.",
        )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(add(self.up, self.up if self.down is None else self.down), math.inf)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        xp, up = now.xp, self.up
        down = up if self.down is None else self.down
        cycle, in_cycle = now.laps(add(up, down))
        risen, to_rise = in_cycle.shares(up)
        fallen, to_fall = in_cycle.since(up).shares(down)
        rising = to_rise > 0
        above = xp.where(rising, risen, to_fall)
        below = xp.where(rising, to_rise, fallen)
        base, peak = now.number(self.base), now.number(self.peak)
        scale = self._scale(now, cycle)
        if self.mode == "exp_range" and self.exp_range_of == "bounds":
            return scale * blend(base, peak, above, below, self.curve)
        # The value at this cycle's turn.
        turn = base * (1 - scale) + peak * scale
        return blend(base, turn, above, below, self.curve)

    def _scale(self, now: Moment, cycle: Values) -> Values:
        """Returns the factor of the amplitude, or of both bounds, for the mode."""
        if self.mode == "triangular":
            return now.number(1.0)
        if self.mode == "triangular2":
            return powers(0.5, cycle)
        return powers(self.gamma, now.xp.maximum(now.elapsed, 0.0))

    def momentum(self, high: Number = 0.9, low: Number = 0.8) -> "Cyclic":
        """Returns the momentum for this cycle: lowest where the learning rate is highest.

        Args:
            high: the momentum at the start of every cycle.
            low: the momentum at the learning rate's peak.

        Example:
            >>> import jaxsched as js
            >>> js.Cyclic(0.1, 1.0, up=4).momentum(high=0.9, low=0.8)(4)
            np.float32(0.8)
        """
        return dataclasses.replace(self, base=high, peak=low, exp_range_of="amplitude")
