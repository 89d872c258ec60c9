"""The `jaxsched` command; it imports only the subcommand that is asked for."""

import ast
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsched import __version__
from jaxsched.extras import require_extra

_COMMANDS = (
    "train", "bench", "report", "plot", "diagnose", "range-test", "grid", "recipe", "check-data",
)  # fmt: skip
# After their config file come fields of its experiment, which are unknown until it is loaded.
_TAKE_FIELDS = ("train", "diagnose", "range-test", "grid", "recipe", "check-data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command.

    The exit code is 0 on success, 1 if some runs of a study failed, 2 on bad input, and 128 + the
    signal's number after a signal.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["--version"]:
        print(f"jaxsched {__version__}")
        return
    try:
        require_extra("The jaxsched command", "train", "tyro", "rich")
        own = 2 if arguments[:1] and arguments[0] in _TAKE_FIELDS else len(arguments)
        _run(_parse(arguments[:own]), arguments[own:])
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _parse(arguments: Sequence[str]) -> Any:
    """Returns the command, an instance of its class, made from its own arguments."""
    import tyro

    if arguments and arguments[0] in _COMMANDS:
        module = importlib.import_module(f"jaxsched.cli.{_module_name(arguments[0])}")
        command = getattr(module, _class_name(arguments[0]))
        return tyro.cli(command, args=arguments[1:], prog=f"jaxsched {arguments[0]}")
    # Help, or a mistake: stand-ins, because the commands' imports take seconds and other extras.
    stand_ins = {name: _stand_in(name) for name in _COMMANDS}
    return tyro.extras.subcommand_cli_from_dict(
        stand_ins,
        prog="jaxsched",
        description="`jaxsched --version` prints the version.",
        args=arguments,
    )


def _stand_in(name: str) -> type:
    """Returns a class without options that has the docstring of the command in its file."""
    path = Path(__file__).with_name(f"{_module_name(name)}.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {
        node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.ClassDef)
    }
    text = documented[_class_name(name)]
    return dataclasses.make_dataclass(_class_name(name), [], namespace={"__doc__": text})


def _module_name(name: str) -> str:
    return name.replace("-", "_")


def _class_name(name: str) -> str:
    return name.title().replace("-", "")


def _run(command: Any, rest: Sequence[str]) -> None:
    """Runs the command; a signal ends it with what to do next."""
    from rich.console import Console

    from jaxsched.train import Preempted, keep_compiled, split_cpu

    split_cpu()
    keep_compiled()
    try:
        command.run(rest, Console())
    except KeyboardInterrupt:
        print("interrupted; finished work is kept, and the same command goes on from there")
        sys.exit(130)
    except Preempted as stop:
        resuming = " with --resume" if type(command).__name__ == "Train" else ""
        print(f"{stop}; the same command{resuming} goes on from there")
        sys.exit(128 + stop.number)
