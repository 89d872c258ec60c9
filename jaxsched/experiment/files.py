"""Config files: Python files that hold one value under a known name."""

import importlib.util
import traceback
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Value = TypeVar("Value")


def load_module(path: Path) -> ModuleType:
    """Runs a Python file and returns it as a module.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not a Python file, or raises an error; the message has its
            line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a config file, got {path}, which does not exist.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"expected a Python file ending in .py, got {path}.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(_located(path, error)) from error
    return module


def load_value(path: Path, name: str, kind: type[Value]) -> Value:
    """Runs a Python file and returns the value that it holds under `name`.

    Args:
        path: the file.
        name: the variable in it, such as `experiment`.
        kind: the type that the value must have.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file raises an error, lacks the name, or holds a value of another type
            under it.
    """
    module = load_module(path)
    value = getattr(module, name, None)
    if not isinstance(value, kind):
        found = f"a {type(value).__name__}" if hasattr(module, name) else "no such name"
        raise ValueError(
            f"{path} must hold a {kind.__name__} under the name {name!r}, found {found}; "
            f"write `{name} = {kind.__name__}(…)`."
        )
    return value


def _located(path: Path, error: Exception) -> str:
    """The error's message with the line of the file that raised it."""
    if isinstance(error, SyntaxError):
        number, line = error.lineno, error.text
    else:
        frames = traceback.extract_tb(error.__traceback__)
        # The error may be raised in a library that the file called: its own line is what helps.
        own = [frame for frame in frames if Path(frame.filename) == path.absolute()] or frames
        number, line = own[-1].lineno, own[-1].line
    code = f"\n    {line.strip()}" if line else ""
    return f"{path}, line {number}: {type(error).__name__}: {error}{code}"
