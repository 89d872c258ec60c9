"""Round ticks, and the ends of an axis."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# The largest and the smallest number other than 0 that an axis can show.
_LARGEST, _SMALLEST = 1e100, 1e-100
_LEAST_TICKS, _MOST_TICKS, _MOST_DECADES = 3, 6, 4
_NEAR_ZERO, _MARGIN = 0.2, 0.02  # shares of the highest value, and of the height


@dataclass(frozen=True)
class Ticks:
    """An axis: its ticks and its ends.

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

    def near(self, value: float | None) -> float | None:
        """Returns a value that is no farther from the axis than a few times its length.

        Where a curve leaves the picture is the same, and no coordinate is too large for SVG.
        """
        if value is None:
            return None
        far = 1e6 if self.is_log else 20 * (self.high - self.low)
        low, high = (
            (self.low / far, self.high * far) if self.is_log else (self.low - far, self.high + far)
        )
        return min(max(value, low), high)

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
    """Returns an axis with 3 to 6 round ticks, which ends at the next half of a step.

    It begins at 0 if the least value is near 0.

    Args:
        values: what is to be shown; none of them gives an axis from 0 to 1.
        is_share: whether they are shares, which are written in per cent and end at 0 and 1.

    Example:
        >>> from jaxsched.bench.report.page.charts.ticks import linear_ticks
        >>> linear_ticks([0.012, 0.093]).values
        (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
        >>> ticks = linear_ticks([0.781, 0.974], is_share=True)
        >>> ticks.values, ticks.low
        ((0.8, 0.85, 0.9, 0.95), 0.775)
    """
    low, high = _ends(values)
    step = next(s for s in _steps(high - low) if len(_axis(low, high, s)[1]) <= _MOST_TICKS)
    (low, high), ticks = _axis(low, high, step)
    while len(ticks) < _LEAST_TICKS:
        low, high = low - step / 2, high + step / 2
        (low, high), ticks = _axis(low, high, step)
    if is_share and low < 1 and high > 0:
        low, high = max(low, 0.0), min(high, 1.0)
        ticks = tuple(tick for tick in ticks if low <= tick <= high)
    # A line at the upper end would be cut in half.
    return Ticks(ticks, low, high + _MARGIN * (high - low), _form(ticks, step, is_share=is_share))


def log_ticks(values: Iterable[float]) -> Ticks:
    """Returns a logarithmic axis of at most four decades below the greatest value.

    Values that are not above 0 do not count.

    Example:
        >>> from jaxsched.bench.report.page.charts.ticks import log_ticks
        >>> log_ticks([0.02, 40.0]).values
        (0.01, 0.1, 1.0, 10.0, 100.0)
    """
    found = [value for value in values if value > 0] or [1.0]
    high = math.ceil(math.log10(max(found)))
    low = max(math.floor(math.log10(min(found))), high - _MOST_DECADES)
    high = max(high, low + 1)
    ticks = tuple(float(f"1e{power}") for power in range(low, high + 1))
    if len(ticks) == 2:  # a single decade
        ticks = tuple(factor * ticks[0] for factor in (1, 2, 5, 10))
    return Ticks(ticks, ticks[0], 1.1 * ticks[-1], ",~g", is_log=True)


def _ends(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest value, further apart where they are one as good as the other."""
    found = list(values) or [0.0, 1.0]
    low, high = min(found), max(found)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        margin = 0.1 * max(abs(low), abs(high)) or 1.0
        return low - margin, high + margin
    return (0.0 if 0 < low < _NEAR_ZERO * high else low), high


def _steps(span: float) -> Iterator[float]:
    """Round steps, from one that is surely small enough for the span."""
    power = math.floor(math.log10(span)) - 2
    while True:
        for digit in (1, 2, 2.5, 5):
            yield float(f"{digit}e{power}")
        power += 1


def _axis(low: float, high: float, step: float) -> tuple[tuple[float, float], tuple[float, ...]]:
    """The ends of an axis at halves of a step around two numbers, and the ticks between."""
    first, last = math.floor(2 * low / step + 1e-6), math.ceil(2 * high / step - 1e-6)
    halves = [float(f"{number * step / 2:.12g}") for number in range(first, last + 1)]
    return (halves[0], halves[-1]), tuple(halves[first % 2 :: 2])


def _form(ticks: tuple[float, ...], step: float, *, is_share: bool) -> str:
    """The format in which all ticks have as many decimals as their step needs."""
    step = 100 * step if is_share else step
    decimals = next((d for d in range(6) if math.isclose(round(step, d), step, rel_tol=1e-6)), None)
    if is_share and decimals is not None:
        return f".{decimals}%"
    if decimals is None or max(map(abs, ticks)) >= 1e6:
        return ".3~g"
    return f",.{decimals}f"
