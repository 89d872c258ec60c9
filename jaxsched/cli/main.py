"""The `jaxsched` command; it imports only the subcommand that is asked for."""

import ast
import dataclasses
import difflib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsched import __version__
from jaxsched.cli.encoding import replace_unencodable
from jaxsched.cli.errors import exit_with
from jaxsched.cli.home import stand_in_home
from jaxsched.extras import require_extra

_COMMANDS = (
    "train", "bench", "report", "plot", "diagnose", "range-test", "grid", "recipe", "check-data",
    "algoperf",
)  # fmt: skip
# After their config file come fields of its experiment, which are unknown until it is loaded.
_TAKE_FIELDS = ("train", "diagnose", "range-test", "grid", "recipe", "check-data")
_STATUSES = (
    "Exit status: 0 done; 1 a run failed, or `check-data` found a broken image; 2 bad input, and "
    "nothing was trained; 3 the run of `train` diverged; 143, 130 or 129 stopped by SIGTERM, "
    "Ctrl-C or SIGHUP and saved, so that the same command (`train` with --resume) goes on."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; its exit status is one of those that `_STATUSES` tells."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    replace_unencodable()
    stand_in_home()
    if arguments[:1] == ["--version"]:
        print(f"jaxsched {__version__}")
        return
    try:
        require_extra("The jaxsched command", "train", "tyro", "rich")
        own, rest = _split(arguments)
        _run(_parse(own), rest)
        sys.stdout.flush()
    except BrokenPipeError:  # what read the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        exit_with(error, 2)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns a command's own arguments, and those that are parsed once its config is loaded.

    Raises:
        ValueError: when there is no such command; names the nearest one.
    """
    command, *others = arguments or ("--help",)
    if command not in (*_COMMANDS, "-h", "--help"):
        known = (*_COMMANDS, "--help", "--version")
        near = difflib.get_close_matches(command, known, 1) or [f"train {command}"] * (
            command.endswith(".py")
        )
        hint = f"did you mean `jaxsched {near[0]}`? " if near else ""
        raise ValueError(
            f"there is no command {command!r}; {hint}The commands are {', '.join(_COMMANDS)}; "
            "`jaxsched --help` describes them."
        )
    if command not in _TAKE_FIELDS or not others:
        return list(arguments), []
    if others[0].startswith("-") and others[0] not in ("-h", "--help"):
        others = _config_first(command, others)
    return [command, others[0]], others[1:]


def _config_first(command: str, arguments: list[str]) -> list[str]:
    """Returns the arguments with the config file, which options stand before, at their front.

    Raises:
        ValueError: when more than one argument, or none, may be the config file.
    """
    files = [a for a in arguments if a.endswith(".py") and not a.startswith("-")]
    if len(files) != 1:
        raise ValueError(
            f"`jaxsched {command}` needs its config file, a Python file, in front of its options, "
            f"got {arguments[0]} first; write `jaxsched {command} CONFIG {arguments[0]} …`."
        )
    rest = list(arguments)
    rest.remove(files[0])
    return [*files, *rest]


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
        description=f"`jaxsched --version` prints the version. {_STATUSES}",
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
