"""The command line up to its config file: which command, its class, and its help without a config.

Nothing here imports JAX, so that help and mistakes are answered at once.
"""

import dataclasses
import difflib
import importlib
import inspect
import itertools
import typing
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import tyro

from jaxsched.cli import exit_status
from jaxsched.cli.paths import UserPath

COMMANDS = (
    "train", "bench", "report", "plot", "diagnose", "range-test", "grid", "recipe", "check-data",
    "compile", "algoperf",
)  # fmt: skip
HELP = ("-h", "--help")


def unknown(command: str) -> str:
    """Returns the answer to a command that there is not, with the nearest one."""
    known = (*COMMANDS, "--help", "--version")
    near = difflib.get_close_matches(command, known, 1) or [f"train {command}"] * (
        command.endswith(".py")
    )
    hint = f"did you mean `jaxsched {near[0]}`? " if near else ""
    return (
        f"there is no command {command!r}; {hint}The commands are {', '.join(COMMANDS)}; "
        "`jaxsched --help` describes them."
    )


def print_help() -> None:
    """Prints the commands with the first lines of their docstrings."""
    commands = {name: dataclasses.make_dataclass(name, []) for name in COMMANDS}
    for name, stand_in in commands.items():  # without the options, whose parsers take their time
        stand_in.__doc__ = (inspect.getdoc(class_of(name)) or "").partition("\n")[0]
    tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="jaxsched",
        description=(
            f"`jaxsched COMMAND --help` lists a command's options. `jaxsched --version` prints the "
            f"version. {exit_status.TABLE}"
        ),
        args=["--help"],
    )


def class_of(command: str) -> type:
    """Returns the class of a command's options."""
    module = importlib.import_module(f"jaxsched.cli.commands.{command.replace('-', '_')}")
    return getattr(module, command.title().replace("-", ""))


def parse_options(command: str, arguments: Sequence[str]) -> Any:
    """Returns the options of a command that takes no experiment."""
    return tyro.cli(class_of(command), args=arguments, prog=f"jaxsched {command}")


def config_and_rest(command: str, arguments: list[str]) -> tuple[str, list[str]]:
    """Returns the config file, and the arguments without it.

    Options may stand before it. Without any config, this prints the help or ends with an error.

    Raises:
        ValueError: when more than one argument, or none, may be the config file.
    """
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    files = _python_files(command, arguments)
    if len(files) == 1 and not files[0].startswith("-"):
        rest = list(arguments)
        rest.remove(files[0])
        return files[0], rest
    if arguments and not set(HELP) & set(arguments):
        raise ValueError(
            f"`jaxsched {command}` needs its config file, a Python file, in front of its options, "
            f"got {arguments[0]} first; write `jaxsched {command} CONFIG {arguments[0]} …`."
        )
    _end_without_config(command, ["--help"] if arguments else [])


def configs_and_rest(command: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns all config files of a command that takes several, and the arguments without them.

    Raises:
        ValueError: when no argument may be a config file.
    """
    configs = list(itertools.takewhile(lambda text: not text.startswith("-"), arguments))
    rest = arguments[len(configs) :]
    for file in _python_files(command, rest):
        configs.append(file)
        rest.remove(file)
    if not configs:
        config_and_rest(command, arguments)  # ends with the help, or with what is missing
    return configs, rest


def _python_files(command: str, arguments: Sequence[str]) -> list[str]:
    """Returns the Python files among the arguments that are not the value of an option."""
    return [
        argument
        for before, argument in pairwise(("", *arguments))
        if argument.endswith(".py") and before not in _path_options(command)
    ]


def _path_options(command: str) -> set[str]:
    """Returns the options of a command whose value is a path, which might end in .py too."""
    hints = typing.get_type_hints(class_of(command), include_extras=True)
    return {
        f"--{name.replace('_', '-')}"
        for name, hint in hints.items()
        if UserPath in (hint, *typing.get_args(hint))
    }


def _end_without_config(command: str, arguments: Sequence[str]) -> typing.NoReturn:
    """Prints a command's help, or what it misses; fields of an experiment are not known here."""
    config = typing.Annotated[
        UserPath,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="CONFIG",
            help="A Python file that holds an Experiment under the name `experiment`.",
        ),
    ]
    kind = class_of(command)
    options = typing.Annotated[kind, tyro.conf.arg(name="")]
    both = dataclasses.make_dataclass(kind.__name__, [("config", config), ("options", options)])
    tyro.cli(both, args=arguments, prog=f"jaxsched {command}", description=inspect.getdoc(kind))
    raise AssertionError("help, and a missing config, end the command")
