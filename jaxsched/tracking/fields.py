"""The fields of a record that tables and plots read, and what each has to hold.

Imports no JAX.
"""

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

_LARGEST = 2**63

Check: TypeAlias = Callable[[Any], bool]


class _Field(NamedTuple):
    """The values that a field may hold."""

    words: str
    fits: Check


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)


def _is_number_or_word(value: Any) -> bool:
    # JSON has no infinity, so that one that was reached is text.
    return _is_number(value) or value in ("inf", "-inf", "nan")


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_config(value: Any) -> bool:
    optimizer = value.get("optimizer") if isinstance(value, dict) else None
    return isinstance(optimizer, dict) and isinstance(optimizer.get("type"), str)


def _is_environment(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("packages", {}), dict)


def _is_at_once(value: Any) -> bool:
    return isinstance(value, dict) and _is_whole(value.get("size"))


def _is_memory(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_whole, value.values()))


def _is_time(value: Any) -> bool:
    try:
        datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _or_none(field: _Field) -> _Field:
    return _Field(f"{field.words} or null", lambda value: value is None or field.fits(value))


_TEXT = _Field("text", lambda value: isinstance(value, str))
_FIELDS = _Field("an object", lambda value: isinstance(value, dict))
_LIST = _Field("a list", lambda value: isinstance(value, list))
_WHOLE = _Field("a whole number of at least 0", _is_whole)
_COUNT = _Field("a whole number of at least 1", lambda value: _is_whole(value) and value > 0)
_POSITIVE = _Field("a number above 0", lambda value: _is_number(value) and value > 0)
_SECONDS = _Field("a number of at least 0", lambda value: _is_number(value) and value >= 0)
_NUMBER = _Field("a number, or 'inf' or 'nan'", _is_number_or_word)
_SHARE = _Field("a number within [0, 1]", _is_share)
_STATUS = _Field(
    "finished, stopped, diverged or failed",
    lambda value: value in ("finished", "stopped", "diverged", "failed"),
)

# Every record has these, whatever version wrote it.
_REQUIRED: Mapping[str, Mapping[str, _Field]] = {
    "run": {
        "name": _TEXT,
        "seed": _WHOLE,
        "digest": _TEXT,
        "config": _Field("an experiment with an optimizer", _is_config),
        "source": _TEXT,
        "evaluated_on": _TEXT,
        "environment": _Field("an object with packages", _is_environment),
        "command": _TEXT,
        "started": _Field("a time such as 2026-01-31T12:00:00", _is_time),
    },
    "evaluation": {
        "step": _COUNT,
        "examples": _COUNT,
        "epoch": _POSITIVE,
        "train_seconds": _SECONDS,
        "evaluation_seconds": _SECONDS,
        "batch_size": _COUNT,
        "learning_rate": _or_none(_NUMBER),
        "momentum": _NUMBER,
        "weight_decay": _NUMBER,
        "train_loss": _NUMBER,
        "train_accuracy": _SHARE,
        "test_loss": _NUMBER,
        "test_accuracy": _SHARE,
    },
    "end": {"status": _STATUS, "reason": _TEXT},
}
_OPTIONAL: Mapping[str, Mapping[str, _Field]] = {
    "run": {
        "total_steps": _WHOLE,
        "compile_seconds": _or_none(_SECONDS),
        "initial_layers": _or_none(_FIELDS),
        "resumed_at": _or_none(_WHOLE),
        "at_once": _Field("an object with its size", _is_at_once),
        "data": _FIELDS,
        "pretrained": _FIELDS,
    },
    "evaluation": {
        "num_averaged": _WHOLE,
        "averaged_test_loss": _or_none(_NUMBER),
        "averaged_test_accuracy": _or_none(_SHARE),
        "squared_norm": _NUMBER,
        "layers": _or_none(_FIELDS),
        "norm_change": _or_none(_FIELDS),
    },
    "end": {
        "phases": _LIST,
        "compilations": _LIST,
        "images_per_second": _or_none(_SECONDS),
        "peak_memory": _Field("an object of whole numbers", _is_memory),
    },
}


def check_fields(kind: str, entry: Mapping[str, Any]) -> None:
    """Refuses a line of a record that lacks a field, or holds something else in one.

    Args:
        kind: "run", "evaluation" or "end".
        entry: the fields of the line.

    Raises:
        ValueError: names the field, what belongs there and what was found.

    Example:
        >>> from jaxsched.tracking.fields import check_fields
        >>> check_fields("end", {"status": "finished", "reason": ""})
        >>> check_fields("end", {"status": "finished"})
        Traceback (most recent call last):
        ValueError: expected reason as text, got nothing
    """
    for name, field in _REQUIRED[kind].items():
        if name not in entry:
            raise ValueError(f"expected {name} as {field.words}, got nothing")
        _check(name, field, entry[name])
    for name, field in _OPTIONAL[kind].items():
        if name in entry:
            _check(name, field, entry[name])


def _check(name: str, field: _Field, value: Any) -> None:
    if not field.fits(value):
        shown = f"{value:.40}" if isinstance(value, str) else _shown(value)
        raise ValueError(f"expected {name} as {field.words}, got {shown}")


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a number of too many digits"  # of which Python refuses to write thousands
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
