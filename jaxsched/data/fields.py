"""Checks the fields of sources as they are built, and finds the folders that they name."""

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any


def check_text(owner: str, name: str, value: Any) -> None:
    """Raises `ValueError` unless the field is a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{owner} needs {name} as text that is not empty, got {name}={value!r}.")


def check_folder(owner: str, name: str, value: Any) -> str:
    """Returns the folder's path as text, which records and digests hold.

    Raises:
        ValueError: when it is neither text nor a path, or empty.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value:
        raise ValueError(
            f'{owner} needs {name} as the path of a folder, such as "~/data", got {name}={value!r}.'
        )
    return value


def check_optional_file(owner: str, name: str, value: Any) -> str | None:
    """Returns the file's path as text, or None where none is given.

    Raises:
        ValueError: when it is neither text nor a path nor None, or empty.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(
            f"{owner} needs {name} as the path of a file or None, got {name}={value!r}."
        )
    return value


def find_folder(path: str) -> Path:
    """Returns the path of a folder, `~` replaced by the home folder.

    Raises:
        ValueError: when `~` names a user without a home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} names no folder ({error}); write the path in full.") from error


def is_number(value: Any) -> bool:
    """Returns whether the value is a finite real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_whole(owner: str, name: str, value: Any, least: int = 1) -> None:
    """Raises `ValueError` unless the field is a whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{owner} needs {name} as a whole number of at least {least}, got {name}={value!r}."
        )


def check_yes_or_no(owner: str, name: str, value: Any) -> None:
    """Raises `ValueError` unless the field is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{owner} needs {name} as True or False, got {name}={value!r}.")


def check_kind(owner: str, name: str, value: Any, kind: type, *, optional: bool = False) -> None:
    """Raises `ValueError` unless the field is an instance of `kind`, or None where optional."""
    if not isinstance(value, kind) and not (optional and value is None):
        or_none = " or None" if optional else ""
        raise ValueError(
            f"{owner} needs {name} as a {kind.__name__}{or_none}, got {name}={value!r}."
        )


def check_numbers(owner: str, name: str, value: Any, count: int) -> None:
    """Raises `ValueError` unless the field is a sequence of `count` finite numbers."""
    whole = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == count
    if not whole or not all(map(is_number, value)):
        raise ValueError(f"{owner} needs {name} as {count} numbers, got {name}={value!r}.")
