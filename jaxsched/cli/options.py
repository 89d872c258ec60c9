"""What several commands have in common: an experiment's fields as options, and their end."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import tyro

from jaxsched.experiment import Experiment
from jaxsched.experiment.files import load_value
from jaxsched.train import SignalHandler

Options = TypeVar("Options")


def options_of(
    config: Path, rest: Sequence[str], kind: Callable[[Experiment], Options], command: str
) -> Options:
    """The options after a config file, which are also the fields of its experiment."""
    given = kind(load_value(config, "experiment", Experiment))
    return tyro.cli(
        type(given),
        default=given,
        args=rest,
        prog=f"jaxsched {command} {config}",
        config=(tyro.conf.AvoidSubcommands,),
    )


def end_if_told(signals: SignalHandler) -> None:
    """Ends the command for a signal that has come.

    Raised by a signal handler, a KeyboardInterrupt may come within a callback of Python's garbage
    collector, which swallows it.
    """
    if signals.received == signal.SIGTERM:
        sys.exit(128 + signal.SIGTERM)
    if signals.received is not None:
        raise KeyboardInterrupt
