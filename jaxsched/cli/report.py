"""`jaxsched report`: the table and the curves of a study, from its records alone."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched import bench


@dataclass(frozen=True)
class Report:
    """Reports a study from its records: nothing is trained, and no study file is needed.

    Several folders of one study, made on several machines, are reported as one; of a run that two
    of them hold the first counts.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """What `jaxsched bench` wrote: each holds study.json and a folder of records."""
    output: Path | None = None
    """Where to write; by default the first of the folders."""
    tensorboard: Path | None = None
    """Also writes every run's event file in here, for `tensorboard --logdir`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Reports; nothing comes after its own options."""
        del rest
        if not self.folders:
            raise ValueError("report needs at least one folder that `jaxsched bench` wrote.")
        output = self.output or self.folders[0]
        results = bench.Results.read(self.folders)
        if self.tensorboard:
            bench.write_event_files(results, self.tensorboard)
        console.print(bench.write_report(results, output))
        print(f"tables and curves in {output}")
        if self.tensorboard:
            print(f"event files: tensorboard --logdir {shlex.quote(str(self.tensorboard))}")
