"""Interpolation between given points: linear, cosine or monotone cubic."""

from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.blend import blend
from jaxsched.schedules.base import (
    Number,
    Schedule,
    as_float,
    as_time,
    is_known,
    require,
    same_kind,
    schedule,
    static,
)

PointCurve: TypeAlias = Literal["linear", "cosine", "cubic"]


def _is_known(numbers: Any) -> bool:
    """Returns whether the numbers of a tuple or an array can be checked before tracing."""
    if isinstance(numbers, jax.Array):
        return False
    return isinstance(numbers, np.ndarray) or is_known(*numbers)


def _stack(numbers: Any) -> jax.Array:
    """Converts a tuple or an array of numbers to one float32 array."""
    if isinstance(numbers, jax.Array) or _is_known(numbers):
        return as_float(numbers)
    return jnp.stack([as_float(number) for number in numbers])


def _split_times(times: Any) -> tuple[jax.Array, jax.Array]:
    """Splits times into whole numbers, integers if the times are known, and fractions in [0, 1).

    A single float32 would not do: a knot at 77.2 is 4e-6 away from the nearest one, an error that
    would show one update before the knot.
    """
    if not _is_known(times):
        times = _stack(times)
        return times, jnp.zeros_like(times)
    known = np.asarray(times, np.float64)
    whole = np.floor(known)
    return as_time(whole.astype(np.int64)), as_float(known - whole)


def _end_slope(
    length: jax.Array, next_length: jax.Array, rise: jax.Array, next_rise: jax.Array
) -> jax.Array:
    """Computes the three-point slope at an end, limited so that the curve stays monotone."""
    slope = ((2 * length + next_length) * rise - length * next_rise) / (length + next_length)
    slope = jnp.where(jnp.sign(slope) == jnp.sign(rise), slope, 0.0)
    turns = jnp.sign(rise) != jnp.sign(next_rise)
    return jnp.where(turns & (jnp.abs(slope) > 3 * jnp.abs(rise)), 3 * rise, slope)


def _monotone_slopes(lengths: jax.Array, rises: jax.Array) -> jax.Array:
    """Computes the slope at each point from the lengths [n−1] and mean slopes [n−1] of the pieces.

    At an inner point it is the weighted harmonic mean of the two neighbours' slopes, and 0 where
    they differ in sign.
    """
    if len(rises) == 1:
        return jnp.concatenate([rises, rises])
    before, after = rises[:-1], rises[1:]
    agree = before * after > 0
    to_before = 2 * lengths[1:] + lengths[:-1]
    to_after = lengths[1:] + 2 * lengths[:-1]
    # Where the slopes disagree, any number will do, as long as it keeps the gradient finite.
    safe_before, safe_after = (jnp.where(agree, rise, 1.0) for rise in (before, after))
    mean = (to_before + to_after) / (to_before / safe_before + to_after / safe_after)
    first = _end_slope(lengths[0], lengths[1], rises[0], rises[1])
    last = _end_slope(lengths[-1], lengths[-2], rises[-1], rises[-2])
    return jnp.concatenate([first[None], jnp.where(agree, mean, 0.0), last[None]])


def interpolate(t: ArrayLike, times: Any, values: Any, curve: PointCurve) -> jax.Array:
    """Evaluates the curve through the points (times[i], values[i]) at `t`; at least two points."""
    whole, rest = _split_times(times)
    values = _stack(values)
    t, whole = same_kind(t, whole)
    knots = as_float(whole) + rest
    after = jnp.searchsorted(knots, as_float(t), side="right", method="scan_unrolled")
    piece = jnp.clip(after - 1, 0, len(knots) - 2)
    done, left = _shares(t, whole, rest, piece)
    first, last = values[piece], values[piece + 1]
    if curve != "cubic":
        return blend(first, last, done, left, curve)
    lengths = jnp.diff(knots)
    slopes = _monotone_slopes(lengths, jnp.diff(values) / lengths)
    # The cubic Hermite polynomial, written in both shares to be accurate at both ends.
    bend = lengths[piece] * (slopes[piece] * left - slopes[piece + 1] * done)
    return (
        first * jnp.square(left) * (1 + 2 * done)
        + last * jnp.square(done) * (1 + 2 * left)
        + done * left * bend
    )


def _shares(
    t: jax.Array, whole: jax.Array, rest: jax.Array, piece: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the shares of the piece that are done and left at `t`; an empty piece is a jump."""
    start, end = whole[piece], whole[piece + 1]
    over = as_float(as_float(t) >= as_float(end) + rest[piece + 1])
    # end + 1 overflows if the end is the largest integer; the maximum then takes the end itself.
    t = jnp.clip(t, start, jnp.maximum(end + 1, end))
    done = jnp.maximum(as_float(t - start) - rest[piece], 0.0)
    left = jnp.maximum(as_float(end - t) + rest[piece + 1], 0.0)
    length = as_float(end - start) + (rest[piece + 1] - rest[piece])
    some = length > 0
    length = jnp.where(some, length, 1.0)
    return (
        jnp.where(some, jnp.minimum(done / length, 1.0), over),
        jnp.where(some, jnp.minimum(left / length, 1.0), 1 - over),
    )


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
        times, _ = self._columns()
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

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        times, values = self._columns()
        return interpolate(t, times, values, self.curve)
