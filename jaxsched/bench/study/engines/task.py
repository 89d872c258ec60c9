"""A run of a study as a task, which any node can make that shares the study's folder."""

import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from jaxsched.bench.study.manifest import RECORDS_FOLDER
from jaxsched.bench.study.runner import run_study
from jaxsched.bench.study.study import load_study
from jaxsched.experiment import read_source
from jaxsched.tracking.claim import is_claimed
from jaxsched.tracking.loggers.by_name import loggers_in
from jaxsched.tracking.progress import Progress
from jaxsched.tracking.records import Run
from jaxsched.train import SignalHandler, keep_compiled, split_cpu


@dataclass(frozen=True, kw_only=True)
class SharedStudy:
    """A study that nodes share, and how they make its runs. All paths are the same on every node.

    Attributes:
        file: the study's file.
        size: the name of one of its sizes; None for the first.
        folder: the study's folder.
        start: the folder that the command was given in, where relative paths of the file start.
        every_seconds: the most training time that a lost node may cost.
        log: the names of the loggers of each run.
        command: the command line, for the records.
        token: the name of a file that lies in the folder while the tasks are made, by which a node
            knows that it sees this folder and not one of its own.
    """

    file: Path
    size: str | None
    folder: Path
    start: Path
    every_seconds: float
    log: tuple[str, ...]
    command: tuple[str, ...]
    token: str = field(default_factory=lambda: f".shared-{uuid.uuid4().hex}")

    @property
    def records(self) -> Path:
        """The folder of the records."""
        return self.folder / RECORDS_FOLDER


@dataclass(frozen=True)
class RunTask:
    """A run of a study; calling it makes the run, from its last checkpoint on.

    Attributes:
        study: the study.
        run: the run.
        num_devices: the devices that it needs; None for those of a whole node.
    """

    study: SharedStudy
    run: Run
    num_devices: int | None

    def __call__(self) -> str:
        """Makes the run in this process, in which nothing has used a device before.

        Returns:
            What there was to say about it.

        Raises:
            ValueError: if this node does not see the study's folder, or another study in its file.
            OSError: if it does not see the folder that the command was given in.
            Preempted: if a signal ended the run, after it was saved.
        """
        os.chdir(self.study.start)
        self._require_same_study()
        split_cpu()
        keep_compiled()
        sys.argv = list(self.study.command)  # which the record names, and not the engine's own
        # The process of an attempt that was given up may take a while to end.
        while is_claimed(self.study.records / self.run.file_name):
            time.sleep(1)
        console = Console(record=True)
        with SignalHandler() as signals:
            self._make(Progress(console), signals)
        return console.export_text()

    def _make(self, progress: Progress, signals: SignalHandler) -> None:
        study = self.study
        run_study(
            load_study(study.file, study.size),
            study.records,
            source_text=read_source(study.file),
            progress=progress,
            only=self.run,
            signals=signals,
            every_seconds=study.every_seconds,
            at_once="in_turn",
            loggers=lambda name, seed: loggers_in(
                study.folder / "logs" / name / f"seed{seed}", study.log
            ),
        )

    def _require_same_study(self) -> None:
        study = self.study
        if not (study.folder / study.token).exists():
            raise ValueError(
                "expected a node that shares the study's folder, got one without the files in "
                f"{study.folder}; give --workdir a folder that all nodes share under one path."
            )
        if self.run not in load_study(study.file, study.size).manifest().runs:
            raise ValueError(
                f"expected {study.file} as it was when the command started, got one without "
                f"{self.run.name}, seed {self.run.seed} of digest {self.run.digest}; keep the file "
                "as it is until the runs have ended, and give all nodes the same jaxsched."
            )
