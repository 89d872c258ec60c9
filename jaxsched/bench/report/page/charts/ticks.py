"""Round ticks, and the ends of an axis."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# The largest and the smallest number other than 0 that an axis can show.
_LARGEST, _SMALLEST = 1e100, 1e-100
_MOST_TICKS = 6


@dataclass(frozen=True)
class Ticks:
    """An axis: its ticks, the first and the last of which are its ends unless it says otherwise.

    Attributes:
        values: the ticks.
        low: the lower end.
        high: the upper end.
        form: the format of the ticks in D3's notation.
        is_log: whether the axis is logarithmic.
    """

    values: tuple[float, ...]
    low: float
    high: float
    form: str
    is_log: bool = False

    def place(self, value: float) -> float:
        """Returns where a value lies, from 0 at the lower end to 1 at the upper one."""
        value = min(max(value, self.low), self.high)
        low, high, at = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def value(self, place: float) -> float:
        """Returns the value at a place; the inverse of `place`."""
        if self.is_log:
            return math.exp(math.log(self.low) * (1 - place) + math.log(self.high) * place)
        return self.low * (1 - place) + self.high * place


def drawable(value: float | None) -> float | None:
    """Returns a number that an axis can show; None for one that is not finite or too large.

    Example:
        >>> from jaxsched.bench.report.page.charts.ticks import drawable
        >>> [drawable(value) for value in (0.5, float("inf"), 1e300, 5e-324, None)]
        [0.5, None, None, 0.0, None]
    """
    if value is None or not abs(value) <= _LARGEST:
        return None
    return 0.0 if abs(value) < _SMALLEST else float(value)


def linear_ticks(values: Iterable[float], *, is_share: bool = False) -> Ticks:
    """Returns an axis from a round number below all values to one above, with 3 to 6 ticks.

    Args:
        values: what is to be shown; none of them gives an axis from 0 to 1.
        is_share: whether they are shares, which are written in per cent and end at 0 and 1.

    Example:
        >>> from jaxsched.bench.report.page.charts.ticks import linear_ticks
        >>> linear_ticks([0.012, 0.093]).values
        (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
        >>> linear_ticks([0.781, 0.974], is_share=True).values
        (0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
    """
    low, high = _ends(values)
    step = next(s for s in _steps(high - low) if len(_multiples(low, high, s)) <= _MOST_TICKS)
    ticks = _multiples(low, high, step)
    while len(ticks) < 3:  # such as when both ends are ticks
        ticks = (ticks[0] - step, *ticks, ticks[-1] + step)
    if is_share and 0 <= low and high <= 1:
        ticks = tuple(tick for tick in ticks if 0 <= tick <= 1)
    return Ticks(ticks, ticks[0], ticks[-1], _form(ticks, step, is_share=is_share))


def log_ticks(values: Iterable[float]) -> Ticks:
    """Returns a logarithmic axis; values that are not above 0 do not count.

    Example:
        >>> from jaxsched.bench.report.page.charts.ticks import log_ticks
        >>> log_ticks([0.02, 40.0]).values
        (0.01, 0.1, 1.0, 10.0, 100.0)
    """
    found = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    high = max(high, low + 1)
    stride = math.ceil((high - low) / (_MOST_TICKS - 1))
    powers = range(low, high + stride, stride)
    ticks = tuple(10.0**power for power in powers)
    if len(ticks) == 2:  # a single decade
        ticks = tuple(factor * ticks[0] for factor in (1, 2, 5, 10))
    is_plain = ticks[0] >= 1e-3 and ticks[-1] < 1e6
    return Ticks(ticks, ticks[0], ticks[-1], "," if is_plain else ".0e", is_log=True)


def _ends(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest value, further apart where they are one as good as the other."""
    found = list(values) or [0.0, 1.0]
    low, high = min(found), max(found)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        margin = 0.1 * max(abs(low), abs(high)) or 1.0
        return low - margin, high + margin
    return low, high


def _steps(span: float) -> Iterator[float]:
    """Round steps, from one that is surely small enough for the span."""
    power = math.floor(math.log10(span)) - 2
    while True:
        for digit in (1, 2, 2.5, 5):
            yield float(f"{digit}e{power}")
        power += 1


def _multiples(low: float, high: float, step: float) -> tuple[float, ...]:
    """The multiples of a step from just below one number to just above the other."""
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))


def _form(ticks: tuple[float, ...], step: float, *, is_share: bool) -> str:
    """The format in which all ticks have as many decimals as their step needs."""
    step = 100 * step if is_share else step
    decimals = next((d for d in range(6) if math.isclose(round(step, d), step, rel_tol=1e-6)), None)
    if is_share and decimals is not None:
        return f".{decimals}%"
    if decimals is None or max(map(abs, ticks)) >= 1e6:
        return ".3~g"
    return f",.{decimals}f"
