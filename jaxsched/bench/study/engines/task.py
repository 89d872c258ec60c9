"""A run of a study as a task, which any node that sees the study's folder can make."""

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxsched.bench.study.manifest import RECORDS_FOLDER
from jaxsched.bench.study.runner import run_study
from jaxsched.bench.study.study import load_study
from jaxsched.experiment import read_source
from jaxsched.tracking.claim import is_claimed
from jaxsched.tracking.loggers.by_name import loggers_in
from jaxsched.tracking.progress import Progress
from jaxsched.tracking.recorder import record_path
from jaxsched.tracking.records import read_record


@dataclass(frozen=True)
class StudyFile:
    """A study by its file.

    Attributes:
        path: the file, by a path that is the same on every node.
        size: the name of one of its sizes; None for the first.
    """

    path: Path
    size: str | None = None


@dataclass(frozen=True)
class RunTask:
    """A run of a study; calling it makes the run, from its last checkpoint on.

    Attributes:
        file: the study's file.
        folder: the study's folder, which all nodes share.
        token: the name of a file in the folder, by which a node knows that it sees this folder.
        name: the experiment's name.
        seed: the run's seed.
        num_devices: the number of devices that the run needs.
        every_seconds: the interval of checkpoints.
        log: the names of the run's loggers.
    """

    file: StudyFile
    folder: Path
    token: str
    name: str
    seed: int
    num_devices: int
    every_seconds: float
    log: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The run's name for messages."""
        return f"{self.name}, seed {self.seed}"

    def __call__(self) -> str:
        """Makes the run and returns its label.

        Raises:
            FileNotFoundError: if this node does not see the study's folder or its file.
        """
        if not (self.folder / self.token).exists():
            raise FileNotFoundError(
                f"every node must see the study's folder, got a node without {self.folder}; give "
                "--workdir a folder that all nodes share under the same path."
            )
        study, records = load_study(self.file.path, self.file.size), self.folder / RECORDS_FOLDER
        (experiment,) = (found for found in study.experiments if found.name == self.name)
        path = record_path(records, experiment, self.seed)
        while True:
            with Progress(Console()) as progress:
                run_study(
                    study,
                    records,
                    source_text=read_source(self.file.path),
                    progress=progress,
                    only=(self.name, self.seed),
                    every_seconds=self.every_seconds,
                    at_once="in_turn",
                    loggers=lambda name, seed: loggers_in(
                        self.folder / "logs" / name / f"seed{seed}", self.log
                    ),
                )
            if not is_claimed(path) or (path.exists() and read_record(path).is_result):
                return self.label
            time.sleep(1)  # the process of a lost attempt has not ended yet
