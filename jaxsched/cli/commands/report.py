"""`jaxsched report`: tables, curves and a page of studies, from their records alone."""

from dataclasses import dataclass

import tyro

from jaxsched.cli.paths import UserPath


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
