"""Describes values as JSON, for records and digests."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxsched.identity import is_left_out

# The task of all records from before there were others.
_UNNAMED = "ImageClassification"


def describe(value: Any) -> Any:
    """Returns the value as JSON: a dataclass becomes its fields and, under "type", its class name.

    The names of classes and fields are part of records and of experiments' digests: to rename one
    makes other runs of the recorded ones. A field that was added later has the metadata
    {"described": "unless default"}: at its default it is left out, so that older digests stay. With
    a function there it is left out where the function of the dataclass is false; a dataclass that
    is made again then has the value "left_out", unless that changes nothing. The
    fields of one with {"described": "flat"} stand beside it, and its name the type of its value,
    unless that is image classification. One with {"described": "by content"} is described by
    what identifies it, see `Identified`.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.experiment import describe
        >>> describe(js.Phase(epochs=5, batch_size=64))
        {'type': 'Phase', 'epochs': 5, 'batch_size': 64}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found, contents = {"type": type(value).__name__}, getattr(value, "content", {})
        for f in _described_fields(value):
            is_by_content = f.metadata.get("described") == "by content"
            part = contents[f.name] if is_by_content else describe(getattr(value, f.name))
            found |= (
                _flat(f.name, part) if f.metadata.get("described") == "flat" else {f.name: part}
            )
        return found
    if isinstance(value, Mapping):
        return {str(key): describe(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [describe(entry) for entry in value]
    if isinstance(value, np.generic | np.ndarray) or hasattr(value, "__jax_array__"):
        return np.asarray(value).tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    return _describe_function(value) if callable(value) else value


def _flat(name: str, part: dict[str, Any]) -> dict[str, Any]:
    kind = part.pop("type")
    return part if kind == _UNNAMED else {name: kind, **part}


def nested(cls: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the described fields of a dataclass with what `describe` made flat as one again."""
    own = {f.name: f for f in dataclasses.fields(cls)}
    flat = [name for name, f in own.items() if f.metadata.get("described") == "flat"]
    if not flat:
        return dict(fields)
    (name,) = flat
    part = {key: value for key, value in fields.items() if key not in own}
    rest = {key: value for key, value in fields.items() if key in own}
    return {**rest, name: {"type": fields.get(name, _UNNAMED), **part}}


def _described_fields(value: Any) -> list[dataclasses.Field]:
    """Returns the fields of a dataclass that its description holds."""
    return [f for f in dataclasses.fields(value) if not is_left_out(value, f)]


def _describe_function(function: Any) -> str:
    """Its name and a digest of its code, which tells two lambdas of one file apart.

    The digest covers the plain values that the function closes over, but no global variables.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    code = getattr(function, "__code__", None)
    if code is None:  # a built-in function
        return name
    plain = (int, float, str, bytes, type(None), tuple)
    closed = [cell.cell_contents for cell in function.__closure__ or ()]
    values = [v for v in (*code.co_consts, *closed) if isinstance(v, plain)]
    content = repr((code.co_code, code.co_names, function.__defaults__, values))
    return f"{name}@{hashlib.sha256(content.encode()).hexdigest()[:8]}"
