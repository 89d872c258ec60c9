"""Times with a unit of their own: "5 epochs", "500 updates", "1e6 examples", "30%"."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

from jaxsched.schedules.base import Schedule, Time, is_static

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


def resolve(schedule: Schedule, in_own_unit: Callable[[Duration], float]) -> Schedule:
    """Returns the schedule with every time that has a unit converted to a number.

    Args:
        schedule: the schedule; the schedules that it combines are resolved too.
        in_own_unit: converts a time with a unit to the unit of the schedule's clock.

    Raises:
        ValueError: if a time cannot be read, or a field that is not a time has a unit.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.schedules.units import resolve
        >>> resolve(js.Cosine(0.1, duration="30%"), lambda time: time.amount / 100 * 90)
        Cosine(peak=0.1, duration=27.0, end=0.0)
    """

    def resolve_value(value: Any) -> Any:
        if isinstance(value, str):
            return in_own_unit(parse_time(value))
        if isinstance(value, tuple):
            return tuple(map(resolve_value, value))
        return resolve(value, in_own_unit) if isinstance(value, Schedule) else value

    changes = {}
    for field in dataclasses.fields(cast(Any, schedule)):
        value = getattr(schedule, field.name)
        if is_static(field) or not _has_unit(value):
            continue
        if not _holds_schedules(value) and field.type not in _TIMES:
            raise ValueError(
                f"{type(schedule).__name__}.{field.name} is a value, not a time; it takes plain "
                f"numbers, got {value!r}."
            )
        changes[field.name] = resolve_value(value)
    return dataclasses.replace(cast(Any, schedule), **changes) if changes else schedule


# The annotations of fields that hold times.
_TIMES = (Time, Time | None, tuple[Time, ...])


def _has_unit(value: Any) -> bool:
    """Returns whether a field's value contains a time with a unit."""
    if isinstance(value, Schedule):
        fields = dataclasses.fields(cast(Any, value))
        return any(_has_unit(getattr(value, f.name)) for f in fields if not is_static(f))
    return any(map(_has_unit, value)) if isinstance(value, tuple) else isinstance(value, str)


def _holds_schedules(value: Any) -> bool:
    """Returns whether a field's value is a schedule or a tuple of schedules."""
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(part, Schedule) for part in parts)
