"""Interpolation between given points: linear, cosine or monotone cubic."""

from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.arithmetic.moment import Moment, Pieces, Values
from jaxsched.schedules.arithmetic.times import Number, as_float, is_known, namespace
from jaxsched.schedules.base import Schedule, require, schedule, static
from jaxsched.schedules.span import Span, span_of

PointCurve: TypeAlias = Literal["linear", "cosine", "cubic"]


def _is_known(numbers: Any) -> bool:
    """Returns whether the numbers of a tuple or an array can be checked before tracing."""
    if isinstance(numbers, jax.Array):
        return False
    return isinstance(numbers, np.ndarray) or is_known(*numbers)


def _stack(numbers: Any) -> Values:
    """Converts a tuple or an array of numbers to one array: float64 if they are known."""
    if _is_known(numbers):
        return np.asarray(numbers, np.float64)
    if isinstance(numbers, jax.Array):
        return as_float(numbers)
    return jnp.stack([as_float(number) for number in numbers])


def _end_slope(length: Values, next_length: Values, rise: Values, next_rise: Values) -> Values:
    """Computes the three-point slope at an end, limited so that the curve stays monotone."""
    xp = namespace(rise)
    slope = ((2 * length + next_length) * rise - length * next_rise) / (length + next_length)
    slope = xp.where(xp.sign(slope) == xp.sign(rise), slope, 0.0)
    turns = xp.sign(rise) != xp.sign(next_rise)
    return xp.where(turns & (xp.abs(slope) > 3 * xp.abs(rise)), 3 * rise, slope)


def _monotone_slopes(lengths: Values, rises: Values) -> Values:
    """Computes the slope at each point from the lengths [n−1] and mean slopes [n−1] of the pieces.

    At an inner point it is the weighted harmonic mean of the two neighbours' slopes, and 0 where
    they differ in sign.
    """
    xp = namespace(rises)
    if len(rises) == 1:
        return xp.concatenate([rises, rises])
    before, after = rises[:-1], rises[1:]
    agree = before * after > 0
    to_before = 2 * lengths[1:] + lengths[:-1]
    to_after = lengths[1:] + 2 * lengths[:-1]
    # Where the slopes disagree, any number will do, as long as it keeps the gradient finite.
    safe_before, safe_after = (xp.where(agree, rise, 1.0) for rise in (before, after))
    mean = (to_before + to_after) / (to_before / safe_before + to_after / safe_after)
    first = _end_slope(lengths[0], lengths[1], rises[0], rises[1])
    last = _end_slope(lengths[-1], lengths[-2], rises[-1], rises[-2])
    return xp.concatenate([first[None], xp.where(agree, mean, 0.0), last[None]])


def interpolate(now: Moment, times: Any, values: Any, curve: PointCurve) -> Values:
    """Evaluates the curve through the points (times[i], values[i]); at least two points."""
    times, xp = _stack(times), now.xp
    values = xp.asarray(now.number(_stack(values)))
    piece, done, left = (
        now.pieces(times) if is_known(times) else _traced_pieces(as_float(now.plain), times)
    )
    first, last = values[piece], values[piece + 1]
    if curve != "cubic":
        return blend(first, last, done, left, curve)
    lengths = xp.asarray(now.number(np.diff(times) if is_known(times) else jnp.diff(times)))
    slopes = _monotone_slopes(lengths, xp.diff(values) / lengths)
    # The cubic Hermite polynomial, written in both shares to be accurate at both ends.
    bend = lengths[piece] * (slopes[piece] * left - slopes[piece + 1] * done)
    return (
        first * xp.square(left) * (1 + 2 * done)
        + last * xp.square(done) * (1 + 2 * left)
        + done * left * bend
    )


def _traced_pieces(t: jax.Array, knots: jax.Array) -> Pieces:
    """Finds a time between knots that are traced; an empty piece is a jump."""
    after = jnp.searchsorted(knots, t, side="right", method="scan_unrolled")
    piece = jnp.clip(after - 1, 0, len(knots) - 2)
    start, end = knots[piece], knots[piece + 1]
    over = as_float(t >= end)
    t = jnp.clip(t, start, end)
    some = end > start
    length = jnp.where(some, end - start, 1.0)
    done = jnp.where(some, jnp.minimum((t - start) / length, 1.0), over)
    left = jnp.where(some, jnp.minimum((end - t) / length, 1.0), 1 - over)
    return Pieces(piece, done, left)


@schedule
class Interpolate(Schedule):
    """Interpolation through given points; constant before the first and after the last one.

    Use it for any shape that no other schedule has, such as a recipe given as a table.

    Formula:
        between two points the straight line, half a cosine wave, or the cubic whose slopes are
        the weighted harmonic means of the neighbouring pieces' slopes (PCHIP); the cubic has no
        extremum that the points do not have.

    Attributes:
        points: at least two (time, value) pairs in ascending order of time, or an array of shape
            [n, 2]; times in the unit of t. Except with "cubic" a time may occur twice: the value
            jumps there, and the update at that time is the first to use the later value.
        curve: "linear", "cosine" or "cubic".

    Raises:
        ValueError: if there are fewer than two points, or their times do not ascend.

    Source:
        Fritsch and Butland, "A method for constructing local monotone piecewise cubic interpolants"
        (1984), for "cubic".

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> triangle = js.Interpolate(((0, 0.2), (23, 1.0), (100, 0.07)))
        >>> triangle(jnp.array([0, 23, 1000]))
        Array([0.2 , 1.  , 0.07], dtype=float32)
    """

    points: tuple[tuple[Number, Number], ...] | np.ndarray | jax.Array
    curve: PointCurve = static(default="linear")

    def __post_init__(self):
        if len(self.points) < 2:
            raise ValueError(
                f"Interpolate needs at least two (time, value) points, got {self.points}; for one "
                "value use Constant."
            )
        times, values = self._columns()
        if any(isinstance(number, str) for number in (*times, *values)):
            raise ValueError(f"Interpolate needs points that are numbers, got {self.points}.")
        rule = "strictly ascending" if self.curve == "cubic" else "ascending"
        if _is_known(times):
            steps = np.diff(np.asarray(times, np.float64))
            require(
                lambda steps: steps > 0 if self.curve == "cubic" else steps >= 0,
                steps,
                message=f"Interpolate through a {self.curve} curve needs points in {rule} order "
                f"of time, got times {tuple(times)}; sort them.",
            )

    def _columns(self) -> tuple[Any, Any]:
        """Returns the times and the values, as tuples or arrays."""
        if isinstance(self.points, tuple | list):
            times, values = zip(*self.points, strict=True)
            return times, values
        return self.points[:, 0], self.points[:, 1]

    def span(self) -> Span:
        """See `Schedule.span`."""
        times, _ = self._columns()
        return span_of(times[-1], times[-1])

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        times, values = self._columns()
        return interpolate(now, times, values, self.curve)
