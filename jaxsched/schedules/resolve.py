"""Conversion of a schedule's times with units to numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

from jaxsched.schedules.base import Schedule
from jaxsched.schedules.fields import is_static
from jaxsched.schedules.units import Duration, parse_time


def resolve(schedule: Schedule, in_own_unit: Callable[[Duration], float]) -> Schedule:
    """Returns the schedule with every time that has a unit converted to a number.

    Args:
        schedule: the schedule; the schedules that it combines are resolved too.
        in_own_unit: converts a time with a unit to the unit of the schedule's clock.

    Raises:
        ValueError: if a time cannot be read.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.schedules.resolve import resolve
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
        changes[field.name] = resolve_value(value)
    return dataclasses.replace(cast(Any, schedule), **changes) if changes else schedule


def _has_unit(value: Any) -> bool:
    """Returns whether a field's value contains a time with a unit."""
    if isinstance(value, Schedule):
        fields = dataclasses.fields(cast(Any, value))
        return any(_has_unit(getattr(value, f.name)) for f in fields if not is_static(f))
    return any(map(_has_unit, value)) if isinstance(value, tuple) else isinstance(value, str)
