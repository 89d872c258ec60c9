"""The entry point: parses the command line and runs one of the commands."""

import sys
from collections.abc import Sequence

import tyro
from rich.console import Console

from jaxsched.cli.bench import Bench
from jaxsched.cli.diagnose import Diagnose
from jaxsched.cli.grid import Grid
from jaxsched.cli.plot import Plot
from jaxsched.cli.range_test import RangeTest
from jaxsched.cli.recipe import Recipe
from jaxsched.cli.report import Report
from jaxsched.cli.train import Train
from jaxsched.train import Preempted, keep_compiled, split_cpu

Command = Train | Bench | Report | Plot | Diagnose | RangeTest | Grid | Recipe
# After their config file come fields of its experiment, which are unknown until it is loaded.
_TAKE_FIELDS = ("train", "diagnose", "range-test", "grid", "recipe")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    The exit code is 0 on success, 1 if some runs of a study failed, 2 on bad input, and 128 + the
    signal's number after a signal.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    own = 2 if arguments[:1] and arguments[0] in _TAKE_FIELDS else len(arguments)
    command: Command = tyro.cli(Command, args=arguments[:own], prog="jaxsched")
    split_cpu()
    keep_compiled()
    try:
        command.run(arguments[own:], Console())
    except KeyboardInterrupt:
        print("interrupted; finished work is kept, and the same command goes on from there")
        sys.exit(130)
    except Preempted as stop:
        resuming = " with --resume" if isinstance(command, Train) else ""
        print(f"{stop}; the same command{resuming} goes on from there")
        sys.exit(128 + stop.number)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
