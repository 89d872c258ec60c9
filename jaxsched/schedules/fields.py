"""The checks that follow from a field's type, the same for every schedule."""

import dataclasses
from typing import Any, Literal, get_args, get_origin

import numpy as np

from jaxsched.schedules.arithmetic.times import Number, Time, is_known
from jaxsched.schedules.units import parse_time

STATIC = "static"


def is_static(field: dataclasses.Field) -> bool:
    """Returns whether a field of a schedule was declared with `static`."""
    return STATIC in field.metadata


def check_fields(schedule: Any) -> None:
    """Makes lists tuples, and refuses what a field's type does not allow.

    Raises:
        ValueError: if a number or a time is none or is not finite, a text is no time, or a choice
            is none of those that its type names.
    """
    owner = type(schedule).__name__
    for field in dataclasses.fields(schedule):
        value = _as_tuples(getattr(schedule, field.name))
        object.__setattr__(schedule, field.name, value)
        _check(owner, field.name, field.type, value)


def _as_tuples(value: Any) -> Any:
    """Converts lists to tuples, because YAML and JSON have only lists."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _check(owner: str, name: str, expected: Any, value: Any) -> None:
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            choices = ", ".join(map(repr, get_args(expected)))
            raise ValueError(f"{owner} needs {name} to be one of {choices}, got {value!r}.")
    elif expected is bool:
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{owner} needs {name} to be True or False, got {value!r}.")
    elif expected == Number:
        if isinstance(value, str):
            raise ValueError(
                f"{owner}.{name} is a value, not a time; it takes plain numbers, got {value!r}."
            )
        _check_number(owner, name, value)
    elif expected == Number | None:
        if value is not None:
            _check(owner, name, Number, value)
    elif expected == Number | tuple[Number, ...]:
        for number in value if isinstance(value, tuple) else (value,):
            _check(owner, name, Number, number)
    elif expected in (Time, Time | None):
        _check_time(owner, name, value, optional=expected != Time)
    elif expected == tuple[Time, ...]:
        if not isinstance(value, tuple | np.ndarray):
            raise ValueError(
                f"{owner} needs a tuple of times as {name}, got {value!r}; "
                f"for one time write ({value!r},)."
            )
        for time in value:
            _check_time(owner, name, time, optional=False)


def _check_time(owner: str, name: str, value: Any, *, optional: bool) -> None:
    if isinstance(value, str):
        parse_time(value)
    elif not (optional and value is None):
        _check_number(owner, name, value)


def _check_number(owner: str, name: str, value: Any) -> None:
    # Not a list of what is a number, because tracers, shapes and the like stand for numbers too.
    if value is None or isinstance(value, tuple | dict | set | bytes) or callable(value):
        raise ValueError(f"{owner} needs a number as {name}, got {value!r}.")
    # A Python integer is finite, and may be too long for NumPy.
    if is_known(value) and not isinstance(value, int) and not np.all(np.isfinite(value)):
        raise ValueError(f"{owner} needs a finite number as {name}, got {value}.")
