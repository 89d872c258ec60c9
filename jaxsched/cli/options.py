"""The common part of the commands that take an experiment: its fields, progress, signals."""

import contextlib
import inspect
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, NamedTuple, TypeVar

import tyro
from rich.console import Console

from jaxsched.cli.exit_status import SIGNALLED
from jaxsched.cli.paths import require_folder
from jaxsched.experiment import Experiment, load_module, read_source, require_computable
from jaxsched.experiment.files import importable, value_in
from jaxsched.plan import Plan
from jaxsched.tracking import Progress, plan_for
from jaxsched.train import SignalHandler

Options = TypeVar("Options")


class Given(NamedTuple, Generic[Options]):
    """The arguments of a command with a config file, the file, and its text for the records."""

    options: Options
    experiment: Experiment
    config: Path
    source_text: str


@dataclass(frozen=True)
class _Arguments(Generic[Options]):
    """The options of a command beside the fields of its experiment."""

    options: Annotated[Options, tyro.conf.arg(name="")]
    experiment: Annotated[Experiment, tyro.conf.arg(name="")]


def parse(kind: type[Options], command: str, config: Path, rest: Sequence[str]) -> Given[Options]:
    """Parses the options after the config file, among them the fields of its experiment.

    Args:
        kind: the class of the command's options, all of which have defaults.
        command: the command's name.
        config: the config file.
        rest: the arguments after it.
    """
    module = load_module(config)
    default = _Arguments(kind(), value_in(module, config, "experiment", Experiment))
    with importable(module):  # the help of a class's fields is read from its file
        arguments = tyro.cli(
            _Arguments[kind],
            description=(inspect.getdoc(kind) or "").partition("\n")[0],
            default=default,
            args=rest,
            prog=f"jaxsched {command} {config}",
            config=(tyro.conf.AvoidSubcommands,),
        )
    # Only a command that writes has a folder to write to.
    if (workdir := getattr(arguments.options, "workdir", None)) is not None:
        require_folder(workdir)
    return Given(arguments.options, arguments.experiment, config, read_source(config))


def checked_plan(experiment: Experiment) -> Plan:
    """Returns the experiment's plan for its own data, once its schedules have been tried."""
    plan = plan_for(experiment)
    require_computable(experiment, plan)
    return plan


@contextlib.contextmanager
def progress_until_signal(console: Console) -> Iterator[tuple[Progress, Callable[[], None]]]:
    """Shows progress; yields it with a check that ends the command once a signal has come."""
    with Progress(console) as progress, SignalHandler() as signals:
        yield progress, lambda: exit_on_signal(signals)


def exit_on_signal(signals: SignalHandler) -> None:
    """Ends the command if a signal has come.

    The signal handler itself must not raise: it may run within a callback of Python's garbage
    collector, which swallows a KeyboardInterrupt.
    """
    if signals.received == signal.SIGINT:
        raise KeyboardInterrupt
    if signals.received is not None:
        sys.exit(SIGNALLED + signals.received)
