"""`jaxsched report`: tables, curves and a page of studies, from their records alone."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import tyro
from rich.console import Console

from jaxsched import bench
from jaxsched.cli.paths import UserPath, require_folder


@dataclass(frozen=True)
class Report:
    """Reports studies from their records: nothing is trained, and no study file is needed.

    Everything is on one page, report.html, which opens from disk without a network.

    Several folders of one study, made on several machines, are reported as one. If two of them hold
    the same run, the first one counts, unless the run failed there. Folders of different studies
    each make a report of their own.
    """

    folders: tyro.conf.Positional[tuple[UserPath, ...]]
    """Folders that `jaxsched bench` wrote: each holds study.json and a folder of records."""
    output: UserPath | None = None
    """The folder to write to; with several studies, each gets a folder of its name in it. By
    default the first folder of each study."""
    tensorboard: UserPath | None = None
    """Also write each run's event file to this folder, for `tensorboard --logdir`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command, which has no further options in `rest`."""
        del rest
        if not self.folders:
            raise ValueError("report needs at least one folder that `jaxsched bench` wrote.")
        for written in self.output, self.tensorboard:
            if written is not None:
                require_folder(written)
        groups = bench.by_study(self.folders)
        # All are read first, so that one that cannot be read ends the command before it writes.
        studies = [bench.Results.read(folders) for folders in groups]
        for folders, results in zip(groups, studies, strict=True):
            output = folders[0]
            if self.output:
                output = self.output / results.manifest.name if len(studies) > 1 else self.output
            if self.tensorboard:
                bench.write_event_files(results, self.tensorboard)
            console.print(bench.write_report(results, output))
            print(f"page, tables and curves in {output}")
        if self.tensorboard:
            print(f"event files: tensorboard --logdir {shlex.quote(str(self.tensorboard))}")
