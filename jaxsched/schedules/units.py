"""Times with a unit of their own: "5 epochs", "500 updates", "1e6 examples", "30%"."""

import re
from typing import Any, Literal, NamedTuple, cast

from jaxsched.schedules.arithmetic.times import Time

_NUMBER = r"([-+.\d_]+(?:e[-+]?\d+)?)"
_PATTERN = re.compile(rf"\s*{_NUMBER}\s*(epoch|update|example|%)s?\s*", re.IGNORECASE)


class Duration(NamedTuple):
    """An amount of time and its unit: "500 updates" is (500, "update")."""

    amount: float
    unit: Literal["epoch", "update", "example", "%"]


def parse_time(text: str) -> Duration:
    """Reads a time with a unit.

    Args:
        text: a number and one of `epochs`, `updates`, `examples`, `%` (of the run); the space
            between them and the plural s are optional.

    Raises:
        ValueError: if the text is anything else.

    Example:
        >>> from jaxsched.schedules.units import parse_time
        >>> parse_time("1e6 examples"), parse_time("30%")
        (Duration(amount=1000000.0, unit='example'), Duration(amount=30.0, unit='%'))
    """
    match = _PATTERN.fullmatch(text)
    try:
        amount, unit = match.groups() if match else ("", "")
        return Duration(float(amount), cast(Any, unit.lower()))
    except ValueError:
        raise ValueError(
            "expected a time: a number in the schedule's own unit, or text such as '5 epochs', "
            f"'500 updates', '1e6 examples' or '30%', got {text!r}."
        ) from None


def as_duration(time: Time) -> Duration:
    """Returns a time of an experiment with its unit; a bare number is in epochs.

    Example:
        >>> from jaxsched.schedules.units import as_duration
        >>> as_duration(2), as_duration("2 updates")
        (Duration(amount=2, unit='epoch'), Duration(amount=2.0, unit='update'))
    """
    return parse_time(time) if isinstance(time, str) else Duration(cast(float, time), "epoch")


def twice(time: Time) -> Time:
    """Returns twice a time, in the same unit.

    Example:
        >>> from jaxsched.schedules.units import twice
        >>> twice(4), twice("2.5 epochs")
        (8, '5 epoch')
    """
    if not isinstance(time, str):
        return 2 * cast(Any, time)
    amount, unit = parse_time(time)
    return f"{2 * amount:.17g} {unit}"
