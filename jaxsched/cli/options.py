"""The common part of the commands: a config file and the options after it, progress, signals."""

import contextlib
import inspect
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar

import tyro
from rich.console import Console

from jaxsched.cli.paths import UserPath, require_folder
from jaxsched.experiment import Experiment, load_module, read_source, require_computable
from jaxsched.experiment.files import importable, value_in
from jaxsched.plan import Plan
from jaxsched.tracking import Progress, plan_for
from jaxsched.train import SignalHandler
from jaxsched.train.population.strategy import StrategyChoice

Options = TypeVar("Options")

# The option of the commands that make short runs; `bench` describes it in its own words.
AtOnce: TypeAlias = Annotated[
    StrategyChoice,
    tyro.conf.arg(
        help='How the runs share the devices: "in_turn", one after another; "devices", one on each '
        'device; "vmap", several on one device; a number, so many at a time, one on each device; '
        '"auto", whichever of these a short trial finds fastest.'
    ),
]


@dataclass(frozen=True)
class ExperimentCommand:
    """A command that takes a config file, then its options and fields of the experiment."""

    config: tyro.conf.Positional[UserPath]
    """A Python file that holds an Experiment under the name `experiment`."""

    @property
    def source_text(self) -> str:
        """The text of the config file, for the records."""
        return read_source(self.config)

    def parse(
        self, rest: Sequence[str], kind: Callable[[Experiment], Options], command: str
    ) -> Options:
        """Parses the options after the config file, among them the fields of its experiment."""
        module = load_module(self.config)
        given = kind(value_in(module, self.config, "experiment", Experiment))
        with importable(module):  # the help of a class's fields is read from its file
            options = tyro.cli(
                type(given),
                description=(inspect.getdoc(self) or "").partition("\n")[0],
                default=given,
                args=rest,
                prog=f"jaxsched {command} {self.config}",
                config=(tyro.conf.AvoidSubcommands,),
            )
        # Only a command that writes has a folder to write to.
        if (workdir := getattr(options, "workdir", None)) is not None:
            require_folder(workdir)
        return options


def require_minutes(minutes: float) -> None:
    """Raises a ValueError unless a run can be saved that often."""
    if not minutes >= 0:
        raise ValueError(
            f"--checkpoint-minutes needs a time of at least 0 minutes, got {minutes:g}; 0 saves "
            "the run as often as it can."
        )


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
        sys.exit(128 + signals.received)
