"""Checks of a scheduler's arguments, which name what to write instead."""

from typing import Any

import jax
import numpy as np

from jaxsched.schedules.base import ScheduleLike, is_known, require


def require_numbers(owner: str, **arguments: Any) -> None:
    """Raises `ValueError` unless each argument is one finite number; a traced scalar is one.

    A list, which torch takes for groups of parameters, or an array would broadcast against the
    updates and give every column of a weight its own learning rate.
    """
    for name, value in arguments.items():
        is_number = isinstance(value, int | float | np.number | np.ndarray | jax.Array)
        if not is_number or np.ndim(value):
            raise ValueError(f"{owner} needs one number as {_given(owner, name, value)}.")
        require(
            # NumPy does not take Python integers of any size.
            lambda value: isinstance(value, int) or np.isfinite(value),
            value,
            message=f"{owner} needs a finite number as {name}, got {name}={value}.",
        )


def require_function(owner: str, name: str, value: Any) -> None:
    """Raises `ValueError` unless the argument is one function."""
    if not callable(value):
        raise ValueError(f"{owner} needs one function as {_given(owner, name, value)}.")


def require_choice(owner: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raises `ValueError` if a named choice is misspelt."""
    if not (isinstance(value, str) and value in choices):
        *others, last = map(repr, choices)
        raise ValueError(
            f"{owner} needs {name} to be one of {', '.join(others)} or {last}, got {value!r}."
        )


def whole_number(owner: str, name: str, value: Any, least: int | None = None) -> Any:
    """Returns a known whole number as an int, and a traced one unchanged.

    Raises:
        ValueError: if it is not one whole number, or below `least`.
    """
    require_numbers(owner, **{name: value})
    bound = "" if least is None else f" of at least {least}"
    message = f"{owner} needs {name} to be a whole number{bound}, got {name}={value}."
    require(
        lambda value: isinstance(value, int) or value == np.floor(value), value, message=message
    )
    require(lambda value: least is None or value >= least, value, message=message)
    return int(value) if is_known(value) else value


def whole_numbers(owner: str, name: str, values: Any, least: int | None = None) -> tuple[Any, ...]:
    """Returns a list of whole numbers as a tuple, each as by `whole_number`.

    Raises:
        ValueError: if it is no list, or one of them is not a whole number or below `least`.
    """
    if isinstance(values, str) or not np.iterable(values):
        raise ValueError(f"{owner} needs {name} as a list of whole numbers, got {name}={values!r}.")
    return tuple(whole_number(owner, name, value, least) for value in values)


def schedule_list(owner: str, schedulers: Any) -> tuple[ScheduleLike, ...]:
    """Returns a list of schedules as a tuple.

    Raises:
        ValueError: if it is no list, has no entry, or one of them is not a schedule.
    """
    if callable(schedulers) or not np.iterable(schedulers):
        raise ValueError(f"{owner} needs a list of schedulers, got {schedulers!r}.")
    parts = tuple(schedulers)
    if not parts:
        raise ValueError(f"{owner} needs at least one scheduler, got none.")
    for part in parts:
        if not callable(part):
            raise ValueError(
                f"{owner} needs schedules, got {part!r}; of OneCycleLR and CyclicLR pass the first "
                "of the pair, and put ReduceLROnPlateau after the learning rate in optax.chain."
            )
    return parts


def _given(owner: str, name: str, value: Any) -> str:
    """The end of a message: the argument as it was given, and for groups what to write instead."""
    given = f"{name}, got {name}={value!r}"
    if not np.iterable(value) or isinstance(value, str):
        return given
    return (
        f"{given}; where groups of parameters differ, give each its own {owner} by optax.partition"
    )
