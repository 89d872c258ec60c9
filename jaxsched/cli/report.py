"""`jaxsched report`: tables, curves and a page of studies, from their records alone."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched import bench


@dataclass(frozen=True)
class Report:
    """Reports studies from their records: nothing is trained, and no study file is needed.

    All of it is on one page, report.html, which opens from disk without a network.

    Several folders of one study, made on several machines, are reported as one; of a run that two
    of them hold the first counts, unless it died there. Folders of different studies make a report
    each.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """What `jaxsched bench` wrote: each holds study.json and a folder of records."""
    output: Path | None = None
    """Where to write, of several studies each into a folder of its name in here; by default the
    first of a study's folders."""
    tensorboard: Path | None = None
    """Also writes every run's event file in here, for `tensorboard --logdir`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Reports; nothing comes after its own options."""
        del rest
        if not self.folders:
            raise ValueError("report needs at least one folder that `jaxsched bench` wrote.")
        groups = bench.by_study(self.folders)
        # What cannot be read is said before anything is written.
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
