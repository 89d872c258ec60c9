"""Cosine decay with warm restarts (SGDR)."""

import functools
import math
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.schedules.arithmetic.blend import (
    blend,
    is_one,
    raised,
    require_fall,
    require_positive,
)
from jaxsched.schedules.arithmetic.moment import Moment, Values, is_scalar
from jaxsched.schedules.arithmetic.powers import powers
from jaxsched.schedules.arithmetic.times import (
    as_float,
    as_number,
    done_and_left,
    laps,
    same_kind,
    since,
)
from jaxsched.schedules.base import Number, Schedule, Time, later, require, schedule, static
from jaxsched.schedules.span import Span, span_of

_LATEST = np.iinfo(np.int32).max
_SMALLEST_GROWTH = 1.001  # keeps the table of cycles to about 15 000 rows


@functools.cache
def _cycles(multiplier: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the starts and lengths of all cycles up to int32's limit, in lengths of the first.

    Both are float64, which holds the sums of whole numbers exactly.
    """
    starts: list[float] = [0]
    lengths: list[float] = [1]
    while (start := starts[-1] + lengths[-1]) <= _LATEST:
        starts.append(start)
        lengths.append(lengths[-1] * multiplier)
    return np.asarray(starts, np.float64), np.asarray(lengths, np.float64)


@schedule
class CosineRestarts(Schedule):
    """Cosine decay with warm restarts (SGDR): every cycle begins at the peak again.

    Use it when the run may be stopped at the end of any cycle, or to take one model per cycle for
    an ensemble.

    Formula:
        end + (peak − end) · decayⁱ · ½(1 + cos(π u)),   u = (Tcur / Ti)^k_decay
        Ti = first · multiplierⁱ

        decay_of "amplitude": as above   "peak": peak · decayⁱ for the peak, but at least `end`
                 "bounds": peak · decayⁱ and end · decayⁱ

    where Tcur is the time since cycle i began, at first · (1 + multiplier + … + multiplierⁱ⁻¹). The
    update at a restart is the first to use the peak again. The cycle is found by searching these
    sums, which are exact if `first`, `multiplier` and t are integers, and float32 otherwise.

    A cosine with so many hard restarts in a run (transformers'
    `get_cosine_with_hard_restarts_schedule_with_warmup`) is `CosineRestarts(peak, "25%", cycles=4)`
    without a warm-up. With one of w updates in a run of T, it is `Sequence((Linear(0, peak, w),
    CosineRestarts(peak, (T - w) / 4, cycles=4)), (w,))`.

    Attributes:
        peak: the value at the start of every cycle.
        first: the length of the first cycle, in the unit of t.
        multiplier: the length of each cycle divided by that of the one before. It must be a Python
            number, because it decides how many cycles there are.
        end: the value to which every cycle falls.
        decay: the factor of each cycle's height by that of the one before, within [0, 1].
        decay_of: what the factor multiplies: the "amplitude" above `end` (Keras's `m_mul`), the
            "peak" (timm's `cycle_decay`), or both "bounds", so that the floor sinks as well.
        cycles: the number of cycles, after which the floor of the last one stays (timm's
            `cycle_limit`); None for no end.
        k_decay: the power of the share of a cycle; above 1 it stays high for longer.

    Raises:
        ValueError: if `first` is not above 0, `end` is above `peak`, the multiplier is neither 1
            nor at least 1.001, decay is outside [0, 1], cycles is not a whole number of at least 1,
            or `k_decay` is not above 0.

    Source:
        Loshchilov and Hutter, "SGDR" (arXiv 1608.03983), equation 5, which has a peak and a
        floor for each cycle.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.CosineRestarts(1.0, first=10, multiplier=2)(jnp.array([0, 10, 29, 30]))
        Array([1.        , 1.        , 0.00615583, 1.        ], dtype=float32)
        >>> js.CosineRestarts(1.0, first=10, decay=0.5, cycles=2)(jnp.array([0, 10, 20, 30]))
        Array([1. , 0.5, 0. , 0. ], dtype=float32)
    """

    peak: Number
    first: Time
    multiplier: float = static(default=1)
    end: Number = 0.0
    decay: Number = later(default=1.0)
    decay_of: Literal["amplitude", "peak", "bounds"] = static(default="amplitude", since_later=True)
    cycles: int | None = static(default=None, since_later=True)
    k_decay: Number = later(default=1.0)

    def __post_init__(self):
        require(
            lambda first: first > 0,
            self.first,
            message=f"CosineRestarts needs a first cycle longer than 0, got first={self.first}.",
        )
        require_fall("CosineRestarts", self.peak, self.end)
        grows = isinstance(self.multiplier, int | float) and self.multiplier >= _SMALLEST_GROWTH
        if self.multiplier != 1 and not grows:
            raise ValueError(
                "CosineRestarts needs a Python number of 1 or at least 1.001 as multiplier, got "
                f"{self.multiplier!r}; cycles that shrink would never end, and for cycles that "
                "hardly grow use multiplier=1."
            )
        require(
            lambda decay: (decay >= 0) & (decay <= 1),
            self.decay,
            message=f"CosineRestarts needs decay within [0, 1], got decay={self.decay}; above 1 "
            "the cycles would grow without bound.",
        )
        require_positive("CosineRestarts", k_decay=self.k_decay)
        whole = isinstance(self.cycles, int) and not isinstance(self.cycles, bool)
        if self.cycles is not None and not (whole and self.cycles >= 1):
            raise ValueError(
                "CosineRestarts needs a whole number of cycles of at least 1, or None for no end, "
                f"got {self.cycles!r}."
            )

    def span(self) -> Span:
        """See `Schedule.span`."""
        if self.cycles is None or not is_scalar(self.first):
            return span_of(self.first, math.inf)
        return span_of(self.first, self._end())

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        cycle, done, left = self._place(now)
        done, left = raised(done, left, self.k_decay)
        value = self._within(now, cycle, done, left)
        if self.cycles is None:
            return value
        last = np.int32(self.cycles - 1)
        floor = self._within(now, last, now.number(1.0), now.number(0.0))
        return now.xp.where(now.has_reached(self._end()), floor, value)

    def _within(self, now: Moment, cycle: Values, done: Values, left: Values) -> Values:
        """Returns the value at these shares of a cycle."""
        peak, end = now.number(self.peak), now.number(self.end)
        if is_one(self.decay):
            return blend(peak, end, done, left, "cosine")
        # On the host if all is known there; else as JAX computes it, for the last cycle too.
        scale = powers(self.decay, cycle if now.xp is np else as_float(cycle))
        if self.decay_of == "bounds":
            return scale * blend(peak, end, done, left, "cosine")
        turn = peak * scale
        turn = now.xp.maximum(turn, end) if self.decay_of == "peak" else turn + end * (1 - scale)
        return blend(turn, end, done, left, "cosine")

    def _end(self) -> Any:
        """Returns the time at which the last cycle is over."""
        assert self.cycles is not None
        lengths = sum(self.multiplier**cycle for cycle in range(self.cycles))
        return cast(Any, as_number(self.first)) * lengths

    def _place(self, now: Moment) -> tuple[Values, Values, Values]:
        """Returns the number of cycles that are over, and the shares of this one over and left."""
        if self.multiplier == 1:
            laps, now = now.laps(self.first)
            return laps, *now.shares(self.first)
        if is_scalar(self.first):
            starts, lengths = _cycles(self.multiplier)
            knots = np.append(starts, starts[-1] + lengths[-1])
            return now.pieces(float(self.first) * knots)
        cycle, *place = self._cycle(now.plain)
        return cycle, *done_and_left(*place)

    def _cycle(self, t: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns the cycle, the time in it, and its length, where the first length is traced."""
        lap, _ = laps(t, self.first)
        starts, lengths = _cycles(self.multiplier)
        starts = jnp.asarray(starts, np.int32 if isinstance(self.multiplier, int) else np.float32)
        lengths = jnp.asarray(lengths, np.float32)
        if jnp.issubdtype(lap.dtype, jnp.integer) and jnp.issubdtype(starts.dtype, jnp.integer):
            # t // first ≥ start is equivalent to t ≥ first · start and cannot overflow.
            edges, here = same_kind(starts, lap)
        else:
            edges, here = as_float(self.first) * as_float(starts), as_float(t)
        after = jnp.searchsorted(edges, here, side="right", method="scan_unrolled")
        cycle = jnp.maximum(after - 1, 0)
        first, start = same_kind(self.first, starts[cycle])
        return cycle, since(t, first * start), as_float(self.first) * lengths[cycle]
