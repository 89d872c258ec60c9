"""The runs of a study that are left, taken one at a time by as many processes as share a folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from jaxsched.bench.records import Record, read_record
from jaxsched.plan import Plan
from jaxsched.train import Experiment
from jaxsched.train.locks import take
from jaxsched.train.members import form


@dataclass(frozen=True, eq=False)
class Job:
    """A run of a study that is to be made.

    Attributes:
        experiment: of the run.
        seed: likewise.
        plan: of the experiment.
        path: of the record.
    """

    experiment: Experiment
    seed: int
    plan: Plan
    path: Path

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.experiment.name}, seed {self.seed}"

    @property
    def checkpoints(self) -> Path:
        """The folder that it is saved in, as long as it is under way."""
        return self.path.with_suffix("")

    @property
    def lock(self) -> Path:
        """The file whose lock the process that makes it holds."""
        return self.path.with_name(f".{self.path.stem}.lock")

    @cached_property
    def family(self) -> Any:
        """What runs of one program have in common."""
        return self.experiment.data, form(self.experiment, self.plan)

    def record(self) -> Record | None:
        """What is on record of it, or of another attempt at it."""
        return read_record(self.path) if self.path.exists() else None

    def header(self) -> Mapping[str, Any] | None:
        """Of its record; every attempt has another, because it says when it started."""
        record = self.record()
        return None if record is None else record.header


class Queue:
    """Runs that no finished record covers yet, of which several processes may each take some.

    Args:
        jobs: all runs, in the order in which they are to be made.

    Raises:
        ValueError: when a record is damaged.
    """

    def __init__(self, jobs: Sequence[Job]):
        # With the header of the last attempt.
        self._left = {
            job: None if record is None else record.header
            for job in jobs
            for record in [job.record()]
            if record is None or not record.is_complete
        }

    @property
    def left(self) -> list[Job]:
        """Those that nobody has finished, as far as is known; others may be at some of them."""
        return list(self._left)

    def drain(self, make: Callable[[Job], None]) -> None:
        """Makes one run after another, until none is left that nobody is at.

        Of a process that is killed, another takes the run that it was at.

        Args:
            make: a run, which is this process's alone meanwhile.
        """
        while (taken := self._take()) is not None:
            job, lock = taken
            try:
                make(job)
            finally:
                _let_go(job, lock)
            del self._left[job]

    def _take(self) -> tuple[Job, FileLock] | None:
        for job in self.left:
            job.lock.parent.mkdir(parents=True, exist_ok=True)
            lock = take(job.lock)
            if lock is None:
                continue
            if not self._is_made_elsewhere(job):
                return job, lock
            _let_go(job, lock)
            del self._left[job]
        return None

    def _is_made_elsewhere(self, job: Job) -> bool:
        """Whether another process has made it meanwhile, or has tried to and failed."""
        record = job.record()
        if record is None or not record.is_result:
            return False
        return record.is_complete or record.header != self._left[job]


def _let_go(job: Job, lock: FileLock) -> None:
    job.lock.unlink()
    lock.release()
