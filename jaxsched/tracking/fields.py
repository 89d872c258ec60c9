"""The fields of a record that tables and plots read, and what each has to hold.

A record whose header has an entry for metrics may be that of any loop: of its rows only the update
count and one metric are required. Imports no JAX.
"""

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from jaxsched.tracking.known_metrics import metric_of

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


def _is_metric(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("is_share"), bool):
        return False
    return value.get("better") in ("lower", "higher")


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_metric, value.values()))


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
_SHARE_OR_NAN = _Field(
    "a number within [0, 1], or 'nan'", lambda value: _is_share(value) or value == "nan"
)
_STATUS = _Field(
    "finished, stopped, diverged or failed",
    lambda value: value in ("finished", "stopped", "diverged", "failed"),
)

# Each row of the trainer has these; a loop of others may leave out any of them.
_FROM_TRAINER: Mapping[str, _Field] = {
    "examples": _COUNT,
    "epoch": _POSITIVE,
    "train_seconds": _SECONDS,
    "evaluation_seconds": _SECONDS,
    "batch_size": _COUNT,
    "learning_rate": _or_none(_NUMBER),
    "momentum": _NUMBER,
    "weight_decay": _NUMBER,
}
# The metrics of records whose headers name none, which are of image classification.
IMAGE_METRICS: Mapping[str, Any] = {
    "loss": {"better": "lower", "is_share": False},
    "accuracy": {"better": "higher", "is_share": True},
}
_IMAGE_COLUMNS: Mapping[str, _Field] = {
    "train_loss": _NUMBER,
    "train_accuracy": _SHARE,
    "test_loss": _NUMBER,
    "test_accuracy": _SHARE,
}
# Every record has these, whatever version wrote it.
_REQUIRED: Mapping[str, Mapping[str, _Field]] = {
    "run": {
        "name": _TEXT,
        "seed": _WHOLE,
        "digest": _TEXT,
        "config": _FIELDS,
        "source": _TEXT,
        "evaluated_on": _TEXT,
        "environment": _Field("an object with packages", _is_environment),
        "command": _TEXT,
        "started": _Field("a time such as 2026-01-31T12:00:00", _is_time),
    },
    "evaluation": {"step": _COUNT},
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
        "study": _TEXT,
        "metrics": _Field("metrics, each with 'better' and 'is_share'", _are_metrics),
        "main_metric": _TEXT,
        "pretrained": _FIELDS,
    },
    "evaluation": {
        **_FROM_TRAINER,
        "num_averaged": _WHOLE,
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


def check_fields(kind: str, entry: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Refuses a line of a record that lacks a field, or holds something else in one.

    Args:
        kind: "run", "evaluation" or "end".
        entry: the fields of the line.
        header: the fields of the first line, which names the metrics.

    Raises:
        ValueError: names the field, what belongs there and what was found.

    Example:
        >>> from jaxsched.tracking.fields import check_fields
        >>> check_fields("end", {"status": "finished", "reason": ""}, {})
        >>> check_fields("end", {"status": "finished"}, {})
        Traceback (most recent call last):
        ValueError: expected reason as text, got nothing
    """
    _require(_REQUIRED[kind], entry)
    for name, field in _OPTIONAL[kind].items():
        if name in entry:
            _check(name, field, entry[name])
    if kind == "evaluation":
        _check_metrics(entry, header)


def _check_metrics(row: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    if "metrics" not in header:
        _require({**_FROM_TRAINER, **_IMAGE_COLUMNS}, row)
    metrics = header.get("metrics", IMAGE_METRICS)
    measured = {column: metric for column in row if (metric := metric_of(column, metrics))}
    for column, metric in measured.items():
        _check(column, _or_none(_SHARE_OR_NAN if metric.is_share else _NUMBER), row[column])
    if not measured:
        raise ValueError("expected a value of a metric, such as test_loss, got none")


def _require(fields: Mapping[str, _Field], entry: Mapping[str, Any]) -> None:
    for name, field in fields.items():
        if name not in entry:
            raise ValueError(f"expected {name} as {field.words}, got nothing")
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
