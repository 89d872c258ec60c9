"""Packages that import a public name when it is first used, so that one need not load all others.

A stub `__init__.pyi` beside the package lists the names, for type checkers and for this module. So
`jaxsched.recorder` works without JAX, which the other names import.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_names(
    package: str, before: Callable[[], None] = lambda: None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns a package's `__getattr__`, `__dir__` and `__all__`, made from its stub.

    Args:
        package: the package's name; its stub holds lines such as `from a.b import X as X`.
        before: called before a name is imported; may refuse it.

    Source: Python's PEP 562, and SPEC 1 of Scientific Python.

    Example:
        >>> import sys
        >>> import jaxsched as js
        >>> js.Constant(0.1)
        Constant(value=0.1)
        >>> "Constant" in js.__all__, js.Constant is sys.modules["jaxsched.schedules"].Constant
        (True, True)
    """
    module = sys.modules[package]
    stub = Path(str(module.__file__)).with_suffix(".pyi")
    homes = {
        alias.name: node.module
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=module)
        before()
        if homes[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(module, name, value)  # so that this function is not asked again
        return value

    return get, lambda: sorted({*vars(module), *homes}), sorted(homes)
