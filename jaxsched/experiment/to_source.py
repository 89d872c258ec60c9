"""Writes an experiment as the Python source that makes it."""

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

_WIDTH = 100
_PACKAGES = ("jaxsched.data", "jaxsched.models", "jaxsched.train")


def source_of(value: Any) -> tuple[str, set[str]]:
    """Returns the expression that makes a value again, and the import lines that it needs.

    A dataclass becomes a call of its class with the fields that differ from their defaults.

    Args:
        value: frozen dataclasses, tuples, lists, mappings, functions and plain values, nested.

    Raises:
        ValueError: when no such expression exists, as for a class that cannot be imported.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.experiment import source_of
        >>> source, imports = source_of(js.SGD(js.Cosine(0.5, duration="100%"), momentum=0.9))
        >>> print(source)
        js.SGD(lr=js.Cosine(peak=0.5, duration="100%"), momentum=js.Constant(0.9))
        >>> imports
        {'import jaxsched as js'}
    """
    imports: set[str] = set()
    return _expression(value, 0, imports), imports


def _expression(value: Any, indent: int, imports: set[str], used: int = 0) -> str:
    """The expression of `source_of`; `used` columns of its first line are taken already."""
    if isinstance(value, str):
        return '"' + repr(value)[1:-1].replace('"', '\\"') + '"'
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = _imported(type(value), imports)
        parts = [(f"{key}=", part) for key, part in _given(value).items()]
        if len(dataclasses.fields(value)) == 1:
            parts = [("", part) for _, part in parts]
        return _group(f"{name}(", parts, ")", indent, imports, used)
    if isinstance(value, tuple | list):
        opening, closing = "()" if isinstance(value, tuple) else "[]"
        closing = f",{closing}" if isinstance(value, tuple) and len(value) == 1 else closing
        return _group(opening, [("", part) for part in value], closing, indent, imports, used)
    if isinstance(value, Mapping):
        parts = [(f"{_expression(key, 0, imports)}: ", part) for key, part in value.items()]
        return _group("{", parts, "}", indent, imports, used)
    if callable(value):
        return _imported(value, imports)
    raise ValueError(
        f"expected plain values and dataclasses of them in an experiment, got {value!r}; write its "
        "config by hand."
    )


def _given(value: Any) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    given = {}
    for field in dataclasses.fields(value):
        part, default = getattr(value, field.name), field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING or type(part) is not type(default) or part != default:
            given[field.name] = part
    return given


def _group(
    opening: str,
    parts: list[tuple[str, Any]],
    closing: str,
    indent: int,
    imports: set[str],
    used: int,
) -> str:
    """The parts between brackets: on one line if they fit, else one line for each."""
    line = ", ".join(prefix + _expression(part, 0, imports) for prefix, part in parts)
    # One column less, for the comma after an expression that stands within brackets.
    if indent + used + len(opening) + len(line) + len(closing) < _WIDTH and "\n" not in line:
        return f"{opening}{line}{closing}"
    deeper = indent + 4
    entries = [
        f"{' ' * deeper}{prefix}{_expression(part, deeper, imports, len(prefix))},\n"
        for prefix, part in parts
    ]
    return f"{opening}\n{''.join(entries)}{' ' * indent}{closing.lstrip(',')}"


def _imported(named: Any, imports: set[str]) -> str:
    """The name of a class or function in the source; its import line is added to `imports`."""
    name = named.__qualname__
    if _attribute("jaxsched", name) is named:
        imports.add("import jaxsched as js")
        return f"js.{name}"
    for module in (*_PACKAGES, named.__module__.split(".")[0], named.__module__):
        if _attribute(module, name) is named:
            imports.add(f"from {module} import {name}")
            return name
    where = inspect.getsourcefile(named) or "no file"
    raise ValueError(
        f"{name} cannot be imported by a config file, because it is defined in {where}, which is "
        "no module of a package; put it into one, or write the config by hand."
    )


def _attribute(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
