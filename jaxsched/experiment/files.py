"""Config files: Python files that hold one value under a known name."""

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Value = TypeVar("Value")

# The names under which files hold values, with the command that runs each.
_COMMANDS = {"experiment": "train", "study": "bench", "sizes": "bench"}


def read_source(path: Path) -> str:
    """Reads a Python file as Python itself decodes it.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no Python file, cannot be read, or is no text.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected a config file, got {path}, which does not exist.")
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise ValueError(f"expected a config file, got {path}, which is {what}; name a .py file.")
    if path.suffix != ".py":
        raise ValueError(f"expected a Python file ending in .py, got {path}.")
    try:
        text = importlib.util.decode_source(path.read_bytes())
    except OSError as error:
        raise ValueError(
            f"cannot read the config file {path}: {error.strerror}; make it readable."
        ) from error
    except (UnicodeDecodeError, SyntaxError) as error:  # a SyntaxError of an unknown `coding:`
        raise ValueError(
            f"expected a Python file in UTF-8, got {path}, which is not ({error}); save it as "
            "UTF-8."
        ) from error
    if "\0" in text:
        raise ValueError(
            f"expected a Python file in UTF-8, got {path}, which is no text; save it as UTF-8."
        )
    return text


def load_module(path: Path) -> ModuleType:
    """Runs a Python file and returns it as a module.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not a Python file, or raises an error; the message has its
            line.
    """
    source = read_source(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.origin is not None
    module = importlib.util.module_from_spec(spec)
    try:
        code = compile(source, spec.origin, "exec", dont_inherit=True)
        with importable(module):
            exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
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
    return value_in(load_module(path), path, name, kind)


def value_in(module: ModuleType, path: Path, name: str, kind: type[Value]) -> Value:
    """Returns the value that a file which has been run holds under `name`; see `load_value`."""
    value = getattr(module, name, None)
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        found = f"a {type(value).__name__}" if hasattr(module, name) else "no such name"
        raise ValueError(
            f"{path} must hold {article} {kind.__name__} under the name {name!r}, found {found}; "
            f"write `{name} = {kind.__name__}(…)`{held_instead(path, module, name)}."
        )
    return value


def held_instead(path: Path, module: ModuleType, name: str) -> str:
    """Returns, for an error's message, which command runs what a file holds instead of a value.

    Args:
        path: the file.
        module: the file, run.
        name: the variable that it lacks.
    """
    for other, command in _COMMANDS.items():
        if command != _COMMANDS[name] and hasattr(module, other):
            return f", or run its {other!r} by `jaxsched {command} {path}`"
    return ""


@contextlib.contextmanager
def importable(module: ModuleType) -> Iterator[None]:
    """Context manager: lets dataclasses and help texts find a config's module, for its classes."""
    # A module of the same name that is there already is not hidden, even for a moment.
    is_new = sys.modules.setdefault(module.__name__, module) is module
    try:
        yield
    finally:
        if is_new:
            sys.modules.pop(module.__name__, None)


def _located(path: Path, error: BaseException) -> str:
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
