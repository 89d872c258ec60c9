"""Cosine decay with warm restarts (SGDR)."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.schedules.arithmetic.blend import blend, require_fall
from jaxsched.schedules.arithmetic.moment import Moment, Values, is_scalar
from jaxsched.schedules.arithmetic.times import (
    as_float,
    done_and_left,
    laps,
    same_kind,
    since,
)
from jaxsched.schedules.base import Number, Schedule, Time, require, schedule, static
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
        end + (peak − end) · ½(1 + cos(π Tcur / Ti)),   Ti = first · multiplierⁱ

    where Tcur is the time since cycle i began, at first · (1 + multiplier + … + multiplierⁱ⁻¹). The
    update at a restart is the first to use the peak again. The cycle is found by searching these
    sums, which are exact if `first`, `multiplier` and t are integers, and float32 otherwise.

    Attributes:
        peak: the value at the start of every cycle.
        first: the length of the first cycle, in the unit of t.
        multiplier: the length of each cycle divided by that of the one before. It must be a Python
            number, because it decides how many cycles there are.
        end: the value to which every cycle falls.

    Raises:
        ValueError: if `first` is not above 0, `end` is above `peak`, or the multiplier is neither 1
            nor at least 1.001.

    Source:
        Loshchilov and Hutter, "SGDR" (arXiv 1608.03983), equation 5.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.CosineRestarts(1.0, first=10, multiplier=2)(jnp.array([0, 10, 29, 30]))
        Array([1.        , 1.        , 0.00615583, 1.        ], dtype=float32)
    """

    peak: Number
    first: Time
    multiplier: float = static(default=1)
    end: Number = 0.0

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

    def span(self) -> Span:
        """See `Schedule.span`."""
        return span_of(self.first, math.inf)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        done, left = self._shares(now)
        return blend(now.number(self.peak), now.number(self.end), done, left, "cosine")

    def _shares(self, now: Moment) -> tuple[Values, Values]:
        """Returns the shares of the current cycle that are over and left."""
        if self.multiplier == 1:
            _, now = now.laps(self.first)
            return now.shares(self.first)
        if is_scalar(self.first):
            starts, lengths = _cycles(self.multiplier)
            knots = np.append(starts, starts[-1] + lengths[-1])
            _, done, left = now.pieces(float(self.first) * knots)
            return done, left
        return done_and_left(*self._cycle(now.plain))

    def _cycle(self, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the time in the cycle, and its length, where the first length is traced."""
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
        return since(t, first * start), as_float(self.first) * lengths[cycle]
