"""Times as a schedule's formula sees them: "has this time come?" has one exact answer.

A formula must not divide a time and compare the quotient: XLA replaces a division by a constant
with a multiplication by its rounded inverse, and then a milestone comes an update late, but only
under jit. So a `Moment` keeps the caller's own clock untouched, together with the shift and the
scale that lead to the schedule's unit, and moves the boundary instead. A boundary is a number that
is known before tracing; it is converted, in float64, to the first whole count at or after it, and
the comparison is one of integers. This is the same eagerly and under jit, and exact beyond 2²⁴.

A boundary that is traced itself cannot be moved exactly. It is compared as `times.py` says.
"""

import abc
import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic import times
from jaxsched.schedules.arithmetic.long_division import as_unsigned, divide_product
from jaxsched.schedules.arithmetic.times import as_float, as_time, is_known, namespace

Values: TypeAlias = Any  # an array of NumPy (on the host) or of JAX

# A time such as 0.53 · 1200 = 636.0000000000001 means 636. Float64 has 53 bits, so this forgives
# the rounding of a few operations.
_SLACK = 2.0**-49
# The longest period, in counts, times its denominator; see `divide_product`.
_LARGEST_DIVISOR = 2**30
_LARGEST_DENOMINATOR = 10**6
_FEW = 8  # so few knots are compared one by one rather than searched


def snap(count: Any) -> Any:
    """Rounds a count that is whole but for the rounding error of a few operations in float64."""
    whole = np.rint(count)
    return np.where(np.abs(count - whole) <= np.abs(count) * _SLACK, whole, count)[()]


def first_count(count: Any) -> Any:
    """Returns the first whole count at or after a time in counts, float64.

    Example:
        >>> from jaxsched.schedules.arithmetic.moment import first_count
        >>> float(0.53 * 1200), float(first_count(0.53 * 1200)), float(first_count(636.1))
        (636.0000000000001, 636.0, 637.0)
    """
    return np.ceil(snap(count))


class Pieces(NamedTuple):
    """The position of a time between knots."""

    index: Values  # int, the piece between knots[index] and knots[index + 1]
    done: Values  # the share of the piece that is over, in [0, 1]
    left: Values  # the share that is left, accurate near 0


@dataclass(frozen=True, kw_only=True)
class Moment(abc.ABC):
    """A time: (clock − offset) · scale, where the clock itself is never rounded.

    Attributes:
        offset: the clock's reading at time 0.
        scale: the schedule's units in one unit of the clock.
        earliest: an earlier reading of the clock counts as this one.
    """

    offset: float = 0.0
    scale: float = 1.0
    earliest: float = -math.inf

    @property
    @abc.abstractmethod
    def xp(self) -> ModuleType:
        """The module to compute with: NumPy if all is known on the host, else `jax.numpy`."""

    @property
    @abc.abstractmethod
    def plain(self) -> Values:
        """The time as an array: an integer if it is one, else float32."""

    @abc.abstractmethod
    def laps(self, length: ArrayLike) -> tuple[Values, "Moment"]:
        """Returns the number of whole laps of `length` that are over, and the time in this lap."""

    @abc.abstractmethod
    def _place(self, readings: Any) -> tuple[Values, ...]:
        """Converts readings of the clock, float64, to arrays of the clock's own kind."""

    @abc.abstractmethod
    def _until(self, *place: Values) -> Values:
        """Returns a place minus the clock, accurate near 0; negative once it has come."""

    @abc.abstractmethod
    def _suited_to(self, readings: Any) -> "Moment":
        """Returns this time on a clock whose type can hold these readings."""

    @abc.abstractmethod
    def _num_reached(self, readings: np.ndarray) -> Values:
        """Returns how many of these readings, in ascending order, have come: int."""

    def number(self, value: Any) -> Values:
        """Converts a number for the formula: float64 on the host, float32 in JAX."""
        return np.float64(value) if self.xp is np and is_known(value) else as_float(value)

    def has_reached(self, time: ArrayLike) -> Values:
        """Returns whether this time is at or after another one: bool."""
        if not is_scalar(time):
            now, then = times.same_kind(self.plain, time)
            return now >= then
        return self.num_reached((time,)) > 0

    def num_reached(self, milestones: Any) -> Values:
        """Returns how many of these times, in ascending order, have come: int."""
        if len(milestones) and all(map(is_scalar, milestones)):
            return self._num_come(self._reading(np.array(milestones, np.float64)))
        reached = self.xp.zeros_like(self.elapsed, np.int32)
        for milestone in milestones:
            reached += self.has_reached(milestone).astype(np.int32)
        return reached

    def since(self, start: ArrayLike) -> "Moment":
        """Returns the time since `start`; 0 before it."""
        if not is_scalar(start):
            return as_moment(times.since(self.plain, start), jnp)
        reading = self._reading(start)
        earliest = max(self.earliest, reading)
        return dataclasses.replace(self, offset=reading, earliest=earliest)

    def stretched(self, factor: ArrayLike) -> "Moment":
        """Returns the time on a clock that is slower by a factor."""
        if not is_scalar(factor):
            return as_moment(as_float(self.plain) / as_float(factor), jnp)
        return dataclasses.replace(self, scale=self.scale / float(factor))

    @property
    def elapsed(self) -> Values:
        """The time as a float, accurate near 0."""
        clock = self._suited_to(self.offset)
        elapsed = -clock._until(*clock._place(self.offset))
        if self.earliest > -math.inf:
            elapsed = self.xp.maximum(elapsed, self.number(self.earliest - self.offset))
        return elapsed * self.number(self.scale) if self.scale != 1 else elapsed

    def shares(self, duration: ArrayLike) -> tuple[Values, Values]:
        """Returns the shares of `duration` that are over and left, both in [0, 1].

        The two add up to one, but each is computed by its own division, so that each is accurate
        near its zero; one minus the other would lose all its digits there. A zero duration is
        always over.
        """
        if not is_scalar(duration):
            return times.done_and_left(self.plain, duration)
        if duration:
            _, done, left = self.pieces(np.array([0.0, duration]))
            return done, left
        zero = self.xp.zeros_like(self.elapsed)
        return zero + 1, zero

    def pieces(self, knots: np.ndarray) -> Pieces:
        """Finds the time between knots that are known and ascend; an empty piece is a jump."""
        xp, readings = self.xp, self._reading(np.asarray(knots, np.float64))
        clock = self._suited_to(readings)
        num_reached = self._num_come(readings)
        index = xp.clip(num_reached - 1, 0, len(readings) - 2)
        over = num_reached > index + 1
        columns = [xp.asarray(column) for column in clock._place(readings)]
        gone = -clock._until(*(column[index] for column in columns))
        to_go = clock._until(*(column[index + 1] for column in columns))
        length = xp.asarray(self.number(np.diff(readings)))[index]
        inside = (length > 0) & ~over
        length = xp.where(length > 0, length, 1)
        done = xp.where(inside, xp.clip(gone / length, 0, 1), over.astype(length.dtype))
        left = xp.where(inside, xp.clip(to_go / length, 0, 1), (~over).astype(length.dtype))
        return Pieces(index, done, left)

    def _num_come(self, readings: np.ndarray) -> Values:
        reached = self._suited_to(readings)._num_reached(readings)
        if self.earliest == -math.inf:
            return reached
        return self.xp.maximum(reached, int((readings <= self.earliest).sum()))

    def _reading(self, time: Any) -> Any:
        """Returns the clock's reading at a time that is known, float64."""
        return self.offset + np.float64(time) / self.scale


@dataclass(frozen=True)
class Count(Moment):
    """A time on a clock that counts whole numbers: whole + part / parts.

    Attributes:
        whole: int, for instance updates, or epochs.
        part: int from 0 to below `parts`, for instance the example in the epoch.
        parts: the number of parts in a whole; 1 for a clock without.
    """

    whole: Values
    part: Values = 0
    parts: int = 1

    @property
    def xp(self) -> ModuleType:
        """See `Moment.xp`."""
        return namespace(self.whole)

    @property
    def plain(self) -> Values:
        """See `Moment.plain`."""
        if self.parts > 1 or self.scale != 1 or self.offset % 1:
            return as_float(self.elapsed)
        if self.earliest == -math.inf:
            return self.whole if not self.offset else self.whole - int(self.offset)
        return times.since(self.whole, int(self.offset))

    def laps(self, length: ArrayLike) -> tuple[Values, Moment]:
        """See `Moment.laps`."""
        if not is_scalar(length):
            return _laps(self.plain, length)
        # The clock in units of 1 / D: there a lap is M units long, and time 0 is Z units after the
        # whole number `start`.
        lap = _as_fraction(np.float64(length) / self.scale)
        start, shift = divmod(_as_fraction(self.offset), 1)
        D = math.lcm(lap.denominator, shift.denominator)
        M, Z = int(lap * D), int(shift * D)
        if M >= _LARGEST_DIVISOR:
            return Reading(self.elapsed.astype(np.float32)).laps(length)
        return self._whole_laps(int(start), D, M, Z)

    def _whole_laps(self, start: int, D: int, M: int, Z: int) -> tuple[Values, Moment]:
        xp, integer = self.xp, self.whole.dtype
        # Before time 0 it is time 0 of the first lap.
        begun = self.has_reached(0)
        whole = xp.where(begun, times.since(self.whole, start), 0).astype(integer)
        part = xp.where(begun, self.part, 0).astype(integer)
        laps, units = divide_product(as_unsigned(whole), D, M, D)
        of_part, rest = divide_product(as_unsigned(part), D, self.parts, D)
        units = units.astype(integer) + of_part.astype(integer)
        units = xp.where(begun, units - Z, 0)
        laps = laps.astype(integer) + units // M
        now = Count(units % M, rest.astype(integer), self.parts, scale=self.scale / D)
        return laps, now

    def _place(self, readings: Any) -> tuple[Values, ...]:
        """Returns each reading's whole, its part, and its fraction of a part, in [0, 1)."""
        counts = snap(readings * np.float64(self.parts))
        floor = np.floor(counts)
        whole, part = np.divmod(floor, self.parts)
        integer = self.whole.dtype
        return whole.astype(integer), part.astype(integer), self.number(counts - floor)

    def _until(self, *place: Values) -> Values:
        whole, part, fraction = place
        xp, limit = self.xp, np.iinfo(self.whole.dtype).max
        zero = xp.zeros_like(whole)
        # Without the clip the difference would overflow at the earliest and the latest times.
        now = xp.clip(self.whole, xp.maximum(whole, zero) - limit, xp.minimum(whole, zero) + limit)
        wholes = whole - now
        if self.parts == 1:
            return self.number(wholes) + fraction
        # Exact in integers where the two are near.
        near = xp.clip(wholes, -1, 1)
        parts = self.number(near * self.parts + (part - self.part)) + fraction
        return self.number(wholes - near) + parts / self.number(self.parts)

    def _num_reached(self, readings: np.ndarray) -> Values:
        whole, part, _ = self._place(first_count(readings * np.float64(self.parts)) / self.parts)
        if self.parts == 1 and len(readings) > _FEW:
            return self.xp.searchsorted(self.xp.asarray(whole), self.whole, side="right")
        now, whole = _each_with_all(self.whole, whole)
        if self.parts == 1:
            return (now >= whole).sum(-1)
        now_part, part = _each_with_all(self.part, part)
        return ((now > whole) | ((now == whole) & (now_part >= part))).sum(-1)

    def _suited_to(self, readings: Any) -> Moment:
        if np.all(np.abs(readings) <= np.iinfo(self.whole.dtype).max // 2):
            return self
        # The clock's integers cannot hold these readings.
        value = (self.number(self.whole) + self.number(self.part) / self.parts).astype(np.float32)
        kept = {name: getattr(self, name) for name in ("offset", "scale", "earliest")}
        return Reading(value, **kept)


@dataclass(frozen=True)
class Reading(Moment):
    """A time on a clock that shows a float.

    Attributes:
        value: float32, on the host too, so that a boundary comes at the same value under jit.
    """

    value: Values

    @property
    def xp(self) -> ModuleType:
        """See `Moment.xp`."""
        return namespace(self.value)

    @property
    def plain(self) -> Values:
        """See `Moment.plain`."""
        return as_float(self.elapsed)

    def laps(self, length: ArrayLike) -> tuple[Values, Moment]:
        """See `Moment.laps`."""
        if not is_scalar(length):
            return _laps(self.plain, length)
        now = self.xp.maximum(self.elapsed, 0).astype(np.float32)
        lap, now = times.float_laps(now, self.xp.asarray(length, np.float32))
        return lap, Reading(now)

    def _place(self, readings: Any) -> tuple[Values, ...]:
        """Splits each reading into a whole and a fraction in [0, 1).

        Float32 alone would not do: a knot at 77.2 is 4e-6 away from the nearest one, an error that
        would show just before the knot.
        """
        whole = np.floor(readings)
        return self.number(whole), self.number(readings - whole)

    def _until(self, *place: Values) -> Values:
        whole, fraction = place
        return (whole - self.number(self.value)) + fraction

    def _num_reached(self, readings: np.ndarray) -> Values:
        readings = readings.astype(np.float32)
        if len(readings) > _FEW:
            return self.xp.searchsorted(self.xp.asarray(readings), self.value, side="right")
        value, readings = _each_with_all(self.value, readings)
        return (value >= readings).sum(-1)

    def _suited_to(self, readings: Any) -> Moment:
        del readings
        return self


def as_moment(t: ArrayLike, xp: ModuleType) -> Moment:
    """Returns a time for formulas that compute with NumPy or `jax.numpy`; see `Schedule`."""
    if xp is jnp:
        time = as_time(t)
        return Count(time) if jnp.issubdtype(time.dtype, jnp.integer) else Reading(time)
    array = np.asarray(t)
    if array.dtype.kind in "biuO":
        limit = np.iinfo(np.int64).max // 2
        return Count(np.clip(array, -limit, limit).astype(np.int64)[()])
    return Reading(array.astype(np.float32)[()])


def is_scalar(value: Any) -> bool:
    """Returns whether a value is one number that is known before tracing."""
    return is_known(value) and np.ndim(value) == 0


def _each_with_all(times: Values, knots: np.ndarray) -> tuple[Values, np.ndarray]:
    """Gives both arrays one more axis, along which they compare, without promoting ranks."""
    return times[..., None], knots.reshape((1,) * times.ndim + (-1,))


def _as_fraction(time: float) -> Fraction:
    """Returns the simplest fraction that is a time but for rounding."""
    return Fraction(float(snap(time))).limit_denominator(_LARGEST_DENOMINATOR)


def _laps(t: Values, length: ArrayLike) -> tuple[Values, Moment]:
    lap, now = times.laps(t, length)
    return lap, as_moment(now, jnp)
