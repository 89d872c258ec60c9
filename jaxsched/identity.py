"""Describes by their content values that no code can print: arrays, functions, objects of others.

A spec that holds such a value, as a network or a table of one's own, compares and hashes by this
description, and records and digests hold it.
"""

import dataclasses
import functools
import hashlib
import inspect
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any

import numpy as np

# Their functions are known by name: a digest of their code would change with their version.
_LIBRARIES = {*sys.stdlib_module_names, "jaxsched", "jax", "jaxlib", "numpy", "flax", "optax"}


def identity_of(value: Any) -> Any:
    """Returns what a value consists of, as JSON, the same in every process.

    An array becomes its dtype, shape and a digest; a function its name, a digest of its code and
    what it closes over, but no global variables; a class its name and a digest of its methods; any
    other object its class and its attributes.

    Example:
        >>> import numpy as np
        >>> from jaxsched.identity import identity_of
        >>> identity_of({"width": 8, "table": np.zeros((2, 3), np.float32)})
        {'width': 8, 'table': {'dtype': 'float32', 'shape': [2, 3], 'digest': '2bb6ae06ad472028'}}
        >>> def scaled(factor):
        ...     return lambda x: factor * x
        >>> identity_of(scaled(2.0)) == identity_of(scaled(2.0))
        True
        >>> identity_of(scaled(2.0)) == identity_of(scaled(3.0))
        False
    """
    return _identity(value, ())


def identity_digest(value: Any) -> str:
    """Returns eight characters that identify a value by its content.

    Example:
        >>> from jaxsched.identity import identity_digest
        >>> identity_digest([1, 2]) == identity_digest((1, 2))
        True
    """
    content = json.dumps(identity_of(value), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


# The metadata of a field that is described by its content, in records and digests.
BY_CONTENT = {"described": "by content"}


def is_left_out(spec: Any, field: dataclasses.Field) -> bool:
    """Returns whether a description has no such field, because it came later and changes nothing.

    That is so at its default, or where the function in its metadata is false of the spec; see
    `jaxsched.experiment.describe`.

    Example:
        >>> import dataclasses, jaxsched as js
        >>> from jaxsched.identity import is_left_out
        >>> cosine = js.Cosine(0.1, duration=9, exponent=2.0)
        >>> [field.name for field in dataclasses.fields(cosine) if is_left_out(cosine, field)]
        ['k_decay']
    """
    rule = field.metadata.get("described")
    if callable(rule):
        return not rule(spec)
    if rule != "unless default":
        return False
    return bool(np.all(getattr(spec, field.name) == field.default))


class Identified:
    """Base class of dataclasses with `eq=False` that compare and hash by their fields' content."""

    @functools.cached_property
    def content(self) -> dict[str, Any]:
        """The identity of each field; computed once, because a gigabyte takes a second."""
        spec: Any = self
        return {f.name: identity_of(getattr(self, f.name)) for f in dataclasses.fields(spec)}

    @functools.cached_property
    def _key(self) -> str:
        return json.dumps(identity_of(self), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identified) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _identity(value: Any, above: tuple[int, ...]) -> Any:
    """The identity of a value; `above` are the ids of the values that it is part of."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if id(value) in above:
        return "itself"
    inside = functools.partial(_identity, above=(*above, id(value)))
    if hasattr(value, "get_raw_value"):  # a variable of Flax's NNX
        return {"type": type(value).__name__, "value": inside(value.get_raw_value())}
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _array(value)
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, Mapping):
        return {str(key): inside(entry) for key, entry in value.items()}
    if isinstance(value, Identified):
        return {"type": _class(type(value)), **value.content}
    if isinstance(value, Sequence):
        return [inside(entry) for entry in value]
    if isinstance(value, functools.partial):
        return {"partial": inside(value.func), "args": inside((value.args, value.keywords))}
    if hasattr(value, "__qualname__"):
        return _function(value, inside)
    return {"type": _class(type(value)), **_attributes(value, inside)}


def _array(value: Any) -> dict[str, Any]:
    dtype, shape = str(value.dtype), list(value.shape)
    if dtype.startswith("key<"):  # a random key, whose data NumPy cannot read
        import jax

        value = jax.random.key_data(value)
    content = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return {"dtype": dtype, "shape": shape, "digest": digest}


def _class(cls: type) -> str:
    """Its name, and for a class of the user's own a digest of all methods that are no library's."""
    own = [base for base in cls.__mro__ if base is not object and not _is_of_library(base)]
    methods = [
        (name, _code(function.__code__))
        for base in own
        for name, method in vars(base).items()
        if hasattr(function := inspect.unwrap(method) if callable(method) else method, "__code__")
        and function.__module__ == base.__module__
    ]
    return _named(cls, repr(methods) if methods else "")


def _function(function: Any, inside: Any) -> Any:
    """Its name with a digest of its code; a list with what it closes over and is bound to."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    named = _named(plain, "" if code is None or _is_of_library(plain) else repr(_code(code)))
    cells = [cell.cell_contents for cell in plain.__closure__ or ()] if code else []
    defaults = [*(plain.__defaults__ or ()), *(plain.__kwdefaults__ or {}).values()] if code else []
    bound = getattr(function, "__self__", None)
    held = [*cells, *defaults, *([] if bound is None or inspect.ismodule(bound) else [bound])]
    return [named, *map(inside, held)] if held else named


def _code(code: CodeType) -> tuple[Any, ...]:
    """The code of a function, without its place in the file."""
    return code.co_code, code.co_names, [_constant(constant) for constant in code.co_consts]


def _constant(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return _code(constant)
    # The order of a set of texts is another one in every process.
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)


def _named(named: Any, content: str) -> str:
    # Digests are older than the folders of the schedules.
    module = re.sub(
        r"^(jaxsched\.schedules)\..*\.", r"\1.", str(getattr(named, "__module__", None))
    )
    name = f"{module}:{named.__qualname__}"
    return f"{name}@{hashlib.sha256(content.encode()).hexdigest()[:8]}" if content else name


def _is_of_library(named: Any) -> bool:
    return str(getattr(named, "__module__", "")).split(".")[0] in _LIBRARIES


def _attributes(value: Any, inside: Any) -> dict[str, Any]:
    """The fields of a dataclass or the public attributes of another object, without None."""
    if dataclasses.is_dataclass(value):
        found = {
            field.name: getattr(value, field.name, None)
            for field in dataclasses.fields(value)
            if not is_left_out(value, field)
        }
    else:
        found = {n: v for n, v in getattr(value, "__dict__", {}).items() if not n.startswith("_")}
    return {name: inside(entry) for name, entry in found.items() if entry is not None}
