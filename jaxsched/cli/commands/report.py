"""`jaxsched report`: tables, curves and a page of studies and of runs, from records alone."""

from dataclasses import dataclass
from typing import Literal

import tyro

from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Report:
    """Reports studies and runs from their records: nothing is trained, no study file is needed.

    Everything is on one page, report.html, which opens from disk without a network. The records may
    be those of `jaxsched bench`, of `jaxsched train`, or of `jaxsched.recorder` in a loop of your
    own. What still runs can be reported too: runs that have ended count, and it is said how far the
    others are.

    Several folders of one study, made on several machines, are reported as one. If two of them hold
    the same run, the first one counts, unless the run failed there. Folders of different studies
    each make a report of their own.

    A folder of `jaxsched train` makes a study named after it: its experiments by name, and by what
    differs where one name has several configs. Single records, also of several folders, make one
    study together.
    """

    paths: tyro.conf.Positional[tuple[UserPath, ...]]
    """The folders of studies, each with a folder of records in it; folders of `jaxsched train`; or
    records, files ending in .jsonl."""
    output: UserPath | None = None
    """The folder to write to; with several studies, each gets a folder of its name in it. By
    default the first folder of each study, and for runs of `train` a folder `report` beside the
    records."""
    target: float | None = None
    """The value to reach, for records without a study file, which says it itself. Kept for the next
    report. By default the median of the best values of the baseline's runs."""
    metric: str | None = None
    """What to compare such records by, such as test_loss. By default their main metric."""
    baseline: str | None = None
    """The experiment to compare such records with. By default the first one that was run."""
    evaluate: Literal["averaged", "raw", "better"] | None = None
    """Whose value counts in such records: that of averaged weights where there are some, of the raw
    ones, or the better of both, which is optimistic. By default averaged."""
    tensorboard: UserPath | None = None
    """Also write each run's event file to this folder, for `tensorboard --logdir`."""
