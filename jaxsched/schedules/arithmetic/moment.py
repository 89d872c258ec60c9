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
import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import jax.numpy as jnp
import numpy as np

from jaxsched.schedules.arithmetic import times
from jaxsched.schedules.arithmetic.long_division import as_unsigned, divide_product
from jaxsched.schedules.arithmetic.times import (
    Time,
    as_float,
    as_time,
    is_known,
    namespace,
)

Values: TypeAlias = Any  # an array of NumPy (on the host) or of JAX

# A time such as 0.07 · 100 = 7.000000000000001 means 7. Float64 has 53 bits, so this forgives
# the rounding of a few operations.
_SLACK = 2.0**-49
# The longest period, in counts, times its denominator; see `divide_product`.
_LARGEST_DIVISOR = 2**30


def snap(count: Any) -> Any:
    """Rounds a count that is whole but for the rounding error of a few operations in float64."""
    whole = np.rint(count)
    return np.where(np.abs(count - whole) <= np.abs(count) * _SLACK, whole, count)[()]


def first_count(count: Any) -> Any:
    """Returns the first whole count at or after a time in counts, float64.

    Example:
        >>> from jaxsched.schedules.arithmetic.moment import first_count
        >>> 0.07 * 100, float(first_count(0.07 * 100)), float(first_count(7.1))
        (7.000000000000001, 7.0, 8.0)
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
    def shape(self) -> tuple[int, ...]:
        """The shape of the time."""

    @property
    @abc.abstractmethod
    def plain(self) -> Values:
        """The time as an array: an integer if it is one, else float32."""

    @abc.abstractmethod
    def laps(self, length: Time) -> tuple[Values, "Moment"]:
        """Returns the number of whole laps of `length` that are over, and the time in this lap."""

    @abc.abstractmethod
    def _suited_to(self, *readings: float) -> "Moment":
        """Returns this time on a clock whose type can hold these readings."""

    @abc.abstractmethod
    def _place(self, reading: float) -> tuple[Any, ...]:
        """Converts a reading, or an array of readings, to numbers of the clock's own kind."""

    @abc.abstractmethod
    def _until(self, *place: Values) -> Values:
        """Returns a place minus the clock, accurate near 0; negative once it has come."""

    @abc.abstractmethod
    def _has_come(self, reading: float) -> Values:
        """Returns whether the clock is at or after a reading: bool."""

    @abc.abstractmethod
    def _num_come(self, readings: np.ndarray) -> Values:
        """Returns how many of these readings, in ascending order, have come: int."""

    def number(self, value: Any) -> Values:
        """Converts a number for the formula: float64 on the host, float32 in JAX."""
        return np.float64(value) if self.xp is np and is_known(value) else as_float(value)

    def has_reached(self, time: Time) -> Values:
        """Returns whether this time is at or after another one: bool."""
        if not is_scalar(time):
            now, then = times.same_kind(self.plain, time)
            return now >= then
        reading = self._reading(time)
        if reading <= self.earliest:
            return self.xp.ones(self.shape, np.bool_)
        return self._suited_to(reading)._has_come(reading)

    def num_reached(self, milestones: Any) -> Values:
        """Returns how many of these times, in ascending order, have come: int."""
        reached = self.xp.zeros(self.shape, np.int32)
        for milestone in milestones:
            reached = reached + self.has_reached(milestone).astype(np.int32)
        return reached

    def since(self, start: Time) -> "Moment":
        """Returns the time since `start`; 0 before it."""
        if not is_scalar(start):
            return as_moment(times.since(self.plain, start), jnp)
        reading = self._reading(start)
        earliest = max(self.earliest, reading)
        return dataclasses.replace(self, offset=reading, earliest=earliest)

    def stretched(self, factor: Time) -> "Moment":
        """Returns the time on a clock that is slower by a factor."""
        if not is_scalar(factor):
            return as_moment(as_float(self.plain) / as_float(factor), jnp)
        return dataclasses.replace(self, scale=self.scale / float(factor))

    @property
    def elapsed(self) -> Values:
        """The time as a float, accurate near 0."""
        elapsed = -self._until_reading(self.offset)
        if self.earliest > -math.inf:
            elapsed = self.xp.maximum(elapsed, self.number(self.earliest - self.offset))
        return elapsed * self.number(self.scale) if self.scale != 1 else elapsed

    def shares(self, duration: Time) -> tuple[Values, Values]:
        """Returns the shares of `duration` that are over and left, both in [0, 1].

        The two add up to one, but each is computed by its own division, so that each is accurate
        near its zero; one minus the other would lose all its digits there. A zero duration is
        always over.
        """
        if not is_scalar(duration):
            return times.done_and_left(self.plain, duration)
        xp, one, zero = self.xp, self.number(1), self.number(0)
        if not duration:
            return xp.full(self.shape, one), xp.full(self.shape, zero)
        over = self.has_reached(duration)
        length, scale = self.number(duration), self.number(self.scale)
        gone = -self._until_reading(self.offset) * scale
        to_go = self._until_reading(self._reading(duration)) * scale
        done = xp.where(over, one, self._share(gone, length))
        return done, xp.where(over, zero, self._share(to_go, length))

    def pieces(self, knots: np.ndarray) -> Pieces:
        """Finds the time between knots that are known and ascend; an empty piece is a jump."""
        xp, readings = self.xp, self._reading(np.asarray(knots, np.float64))
        clock = self._suited_to(readings[0])
        num_come = clock._num_come(readings)
        if self.earliest > -math.inf:
            num_come = xp.maximum(num_come, int((readings <= self.earliest).sum()))
        index = xp.clip(num_come - 1, 0, len(readings) - 2)
        over = num_come > index + 1
        columns = [xp.asarray(column) for column in clock._place(readings)]
        gone = -clock._until(*(column[index] for column in columns))
        to_go = clock._until(*(column[index + 1] for column in columns))
        length = xp.asarray(self.number(np.diff(readings)))[index]
        if clock._suited_to(readings[-1]) is not clock:
            # The clock cannot hold the last knots: the piece that it can reach ends at a float.
            out_of_reach = xp.asarray([clock._suited_to(r) is not clock for r in readings])
            to_go = xp.where(out_of_reach[index + 1], length - gone, to_go)
        inside = (length > 0) & ~over
        length = xp.where(length > 0, length, 1)
        done = xp.where(inside, self._share(gone, length), over.astype(length.dtype))
        left = xp.where(inside, self._share(to_go, length), (~over).astype(length.dtype))
        return Pieces(index, done, left)

    def _share(self, time: Values, length: Values) -> Values:
        return self.xp.minimum(self.xp.maximum(time / length, 0), 1)

    def _until_reading(self, reading: float) -> Values:
        clock = self._suited_to(reading)
        return clock._until(*clock._place(reading))

    def _reading(self, time: Any) -> Any:
        """Returns the clock's reading at a time that is known, float64."""
        return self.offset + time / self.scale


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
    def shape(self) -> tuple[int, ...]:
        """See `Moment.shape`."""
        return self.whole.shape

    @property
    def plain(self) -> Values:
        """See `Moment.plain`."""
        if self.parts > 1 or self.scale != 1 or self.offset % 1:
            return self.elapsed.astype(np.float32)
        if self.earliest == -math.inf:
            return self.whole if not self.offset else self.whole - int(self.offset)
        if self.xp is np:
            return np.maximum(self.whole, math.ceil(self.earliest)) - int(self.offset)
        return times.since(self.whole, int(self.offset))

    def laps(self, length: Time) -> tuple[Values, Moment]:
        """See `Moment.laps`."""
        if not is_scalar(length):
            return _laps(self.plain, length)
        # The clock in units of 1 / D: there a lap is M units long, and time 0 is Z units after the
        # whole number `start`.
        start, shift = divmod(self.offset, 1)
        lap, shift = _as_fraction(length / self.scale), _as_fraction(shift)
        D = math.lcm(lap.denominator, shift.denominator)
        M, Z = int(lap * D), int(shift * D)
        if not 0 < M < _LARGEST_DIVISOR or D >= _LARGEST_DIVISOR or abs(start) >= self._limit:
            return Reading(self.elapsed.astype(np.float32)).laps(length)
        return self._whole_laps(int(start), D, M, Z)

    def _whole_laps(self, start: int, D: int, M: int, Z: int) -> tuple[Values, Moment]:
        xp, integer = self.xp, self.whole.dtype
        # Before time 0 it is time 0 of the first lap.
        begun = self.has_reached(0)
        whole = xp.where(begun, self._clipped(integer.type(start)) - start, 0).astype(integer)
        part = xp.where(begun, self.part, 0).astype(integer)
        laps, units = divide_product(as_unsigned(whole), D, M, D)
        of_part, rest = divide_product(as_unsigned(part), D, self.parts, D)
        units = units.astype(integer) + of_part.astype(integer)
        units = xp.where(begun, units - Z, 0)
        laps = laps.astype(integer) + units // M
        now = Count(units % M, rest.astype(integer), self.parts, scale=self.scale / D)
        return laps, now

    def _place(self, reading: Any) -> tuple[Any, ...]:
        """Returns the reading's whole, its part, and its fraction of a part, in [0, 1)."""
        return _place(reading, self.parts, self.whole.dtype)

    def _until(self, *place: Values) -> Values:
        whole, part, fraction = place
        wholes = whole - self._clipped(whole)
        fraction = self.number(fraction)
        if self.parts == 1:
            return self.number(wholes) + fraction
        # Exact in integers where the two are near.
        near = self.xp.clip(wholes, -1, 1)
        parts = self.number(near * self.parts + (part - self.part)) + fraction
        return self.number(wholes - near) + parts / self.number(self.parts)

    def _clipped(self, whole: Values) -> Values:
        """Returns the clock, clipped so that its difference to `whole` cannot overflow."""
        if self.xp is np:
            return self.whole  # all places are below a half of what its 64 bits can hold
        low, high = (jnp.asarray(f(whole, 0)) for f in (jnp.maximum, jnp.minimum))
        return jnp.clip(self.whole, low - self._limit, high + self._limit)

    def _first_place(self, reading: Any) -> tuple[Any, Any]:
        """Returns the whole and the part at which a boundary comes."""
        whole, part, fraction = self._place(reading)
        part = part + (fraction > 0).astype(part.dtype)
        return (whole + part, part) if self.parts == 1 else (whole, part)

    def _has_come(self, reading: float) -> Values:
        whole, part = self._first_place(reading)
        if self.parts == 1:
            return self.whole >= whole
        return (self.whole > whole) | ((self.whole == whole) & (self.part >= part))

    def _num_come(self, readings: np.ndarray) -> Values:
        whole, part = self._first_place(readings[readings <= self._limit])
        if self.parts == 1:
            return self.xp.searchsorted(self.xp.asarray(whole), self.whole, side="right")
        now, whole = _each_with_all(self.whole, whole)
        now_part, part = _each_with_all(self.part, part)
        return ((now > whole) | ((now == whole) & (now_part >= part))).sum(-1)

    @property
    def _limit(self) -> int:
        return _latest(self.whole.dtype)

    def _suited_to(self, *readings: float) -> Moment:
        if all(abs(reading) <= self._limit for reading in readings):
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
    def shape(self) -> tuple[int, ...]:
        """See `Moment.shape`."""
        return self.value.shape

    @property
    def plain(self) -> Values:
        """See `Moment.plain`."""
        return self.elapsed.astype(np.float32)

    def laps(self, length: Time) -> tuple[Values, Moment]:
        """See `Moment.laps`."""
        if not is_scalar(length):
            return _laps(self.plain, length)
        now = self.xp.maximum(self.elapsed, 0).astype(np.float32)
        lap, now = times.float_laps(now, self.xp.asarray(length, np.float32))
        return lap, Reading(now)

    def _place(self, reading: Any) -> tuple[Any, ...]:
        """Splits each reading into a whole and a fraction in [0, 1).

        Float32 alone would not do: a knot at 77.2 is 4e-6 away from the nearest one, an error that
        would show just before the knot.
        """
        whole = np.floor(reading)
        return whole, reading - whole

    def _until(self, *place: Values) -> Values:
        whole, fraction = place
        return (self.number(whole) - self.number(self.value)) + self.number(fraction)

    def _has_come(self, reading: float) -> Values:
        return self.value >= np.float32(reading)

    def _num_come(self, readings: np.ndarray) -> Values:
        readings = self.xp.asarray(readings, np.float32)
        return self.xp.searchsorted(readings, self.value, side="right")

    def _suited_to(self, *readings: float) -> Moment:
        del readings
        return self


def as_moment(t: Time, xp: ModuleType) -> Moment:
    """Returns a time for formulas that compute with NumPy or `jax.numpy`; see `Schedule`."""
    if xp is jnp:
        time = as_time(t)
        return Count(time) if jnp.issubdtype(time.dtype, jnp.integer) else Reading(time)
    array = np.asarray(t)
    if array.dtype.kind in "biuO":
        limit = np.iinfo(np.int64).max // 2
        return Count(np.clip(array, -limit, limit).astype(np.int64)[()])
    return Reading(array.astype(np.float32)[()])


def is_scalar(value: Any) -> TypeGuard[float]:
    """Returns whether a value is one number that is known before tracing."""
    return is_known(value) and np.ndim(value) == 0


def _each_with_all(times: Values, knots: np.ndarray) -> tuple[Values, np.ndarray]:
    """Gives both arrays one more axis, along which they compare, without promoting ranks."""
    return times[..., None], knots.reshape((1,) * times.ndim + (-1,))


def _place(reading: Any, parts: int, integer: np.dtype) -> tuple[Any, ...]:
    if np.ndim(reading) == 0 and not isinstance(reading, np.float64):
        return _place_of_one(float(reading), parts, integer)
    latest = np.float64(_latest(integer))
    counts = snap(np.clip(reading, -latest, latest) * parts)
    floor = np.floor(counts)
    whole, part = np.divmod(floor, parts)
    return whole.astype(integer), part.astype(integer), counts - floor


def _latest(integer: np.dtype) -> int:
    """Returns the last place that a clock can hold: the largest int32, or a half of int64's."""
    return 2**31 - 1 if integer.itemsize < 8 else 2**62


@functools.lru_cache(4096)
def _place_of_one(reading: float, parts: int, integer: np.dtype) -> tuple[Any, ...]:
    """Remembers the places of boundaries, because a loop asks for the same ones each step."""
    return _place(np.float64(reading), parts, integer)


def _as_fraction(time: float) -> Fraction:
    """Returns the simplest fraction that is a time of at least 0 but for rounding."""
    largest = int(_LARGEST_DIVISOR / 2 / max(time, 1))
    return Fraction(float(snap(time))).limit_denominator(max(largest, 1))


def _laps(t: Values, length: Time) -> tuple[Values, Moment]:
    lap, now = times.laps(t, length)
    return lap, as_moment(now, jnp)
