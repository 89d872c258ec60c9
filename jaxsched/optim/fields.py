"""Checks the fields of a spec when it is built: each must hold what its annotation says."""

import dataclasses
import math
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxsched.schedules.base import Time
from jaxsched.schedules.units import parse_time


def require_fields(spec: Any) -> None:
    """Raises `ValueError` unless each field of a spec, a dataclass, holds what its type says.

    Numbers must be finite, and times at least 0. Traced numbers pass.
    """
    for field in dataclasses.fields(spec):
        kinds, value = _kinds(field.type), getattr(spec, field.name)
        if not any(kind.holds(value) for kind in kinds):
            expected = " or ".join(kind.words for kind in kinds)
            raise ValueError(
                f"{type(spec).__name__} needs {field.name} to be {expected}, got {value!r}."
            )


def is_number(value: Any) -> bool:
    """Returns whether a value is one real number, of Python, NumPy or JAX.

    Example:
        >>> import numpy as np
        >>> from jaxsched.optim.fields import is_number
        >>> is_number(np.float32(0.5)), is_number(True), is_number(np.ones(2))
        (True, False, False)
    """
    if isinstance(value, np.generic | np.ndarray | jax.Array):
        kinds = (jnp.integer, jnp.floating)
        return value.ndim == 0 and any(jnp.issubdtype(value.dtype, kind) for kind in kinds)
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_traced(value: Any) -> bool:
    """Returns whether a value is known only once a program runs."""
    return isinstance(value, Tracer)


def is_known_number(value: Any) -> bool:
    """Returns whether a value is one real number that is known before a program runs."""
    return is_number(value) and not is_traced(value)


class _Kind(NamedTuple):
    """One of the things that a field may hold."""

    holds: Callable[[Any], bool]
    words: str


def _is_finite(value: Any) -> bool:
    return is_number(value) and (is_traced(value) or math.isfinite(value))


def _is_whole(value: Any) -> bool:
    return _is_finite(value) and (is_traced(value) or value == int(value))


def _is_time(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = parse_time(value).amount
        except ValueError:
            return False
    return _is_finite(value) and (is_traced(value) or value >= 0)


_KINDS = {
    NoneType: _Kind(lambda value: value is None, "None"),
    bool: _Kind(lambda value: isinstance(value, bool), "True or False"),
    float: _Kind(_is_finite, "a finite number"),
    int: _Kind(_is_whole, "a whole number"),
    Time: _Kind(
        _is_time, "a time of at least 0, in epochs or as text such as '500 updates' or '30%',"
    ),
}


def _kinds(annotation: Any) -> list[_Kind]:
    """Returns what the type of a field allows."""
    is_union = get_origin(annotation) in (Union, UnionType)
    options = get_args(annotation) if is_union else (annotation,)
    if {float, str} <= set(options):
        options = (Time, *(option for option in options if option not in (float, str)))
    return [_kind(option) for option in options]


def _kind(option: Any) -> _Kind:
    if option in _KINDS:
        return _KINDS[option]
    if get_origin(option) is Literal:
        choices = get_args(option)
        return _Kind(lambda value: isinstance(value, str) and value in choices, f"one of {choices}")
    if isinstance(option, type):
        return _Kind(lambda value: isinstance(value, option), f"of the class {option.__name__}")
    return _Kind(lambda _: True, "anything")  # a function, or a container of anything
