"""`jaxsched check-data`: can every image be read?"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from jaxsched import tracking
from jaxsched.cli.options import ExperimentCommand
from jaxsched.cli.printing import print_line
from jaxsched.data import ReadWorkers, StreamedImages, find_unreadable
from jaxsched.experiment import Experiment


@dataclass(frozen=True)
class CheckData(ExperimentCommand):
    """Reads every image that an experiment trains and evaluates on, and lists the broken ones.

    The exit code is 1 if there are any. Options and any field of the experiment come after the
    config file; `jaxsched check-data CONFIG --help` lists them.
    """

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command; `rest` holds its options and fields of its experiment."""
        options = self.parse(rest, CheckDataOptions, "check-data")
        data = tracking.load(options.experiment.task.data)
        splits = {"train": data.train, data.evaluated_on: data.test}
        streamed = {n: split for n, split in splits.items() if isinstance(split, StreamedImages)}
        errors: dict[str, list[str]] = {name: [] for name in splits}
        with (
            ReadWorkers(list(streamed.values()), options.read_workers) as workers,
            tracking.Progress(console) as progress,
        ):
            progress.start(sum(map(len, streamed.values())))
            for name, split in streamed.items():
                progress.show(name)
                errors[name] = find_unreadable(split, workers, on_read=progress.advance)
        for name, found in errors.items():
            for error in found:
                print_line(error, console)
            total = len(splits[name])
            print_line(f"{name}: {total:,} images, {len(found):,} cannot be read", console)
        if any(errors.values()):
            sys.exit(1)


@dataclass(frozen=True)
class CheckDataOptions:
    """The options of `jaxsched check-data` after the config file."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    read_workers: int = 0
    """The number of processes that read; by default this process does it, in threads."""
