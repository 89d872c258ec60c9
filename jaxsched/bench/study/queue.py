"""The runs of a study that are left, taken one at a time by as many processes as share a folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from jaxsched.experiment import Experiment
from jaxsched.plan import Plan
from jaxsched.tracking.records import Record, read_record
from jaxsched.train import saved_steps
from jaxsched.train.checkpointing.file_lock import take
from jaxsched.train.program.shared_program import program_signature


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
    def step(self) -> int:
        """The update from which it goes on."""
        return max(saved_steps(self.checkpoints), default=0)

    @property
    def examples(self) -> int:
        """All that it trains on."""
        return self.plan.examples_at(self.plan.total_steps)

    @property
    def examples_left(self) -> int:
        """Those that it still has to train on."""
        return self.examples - self.plan.examples_at(self.step)

    @cached_property
    def family(self) -> Any:
        """What runs of one program have in common."""
        return self.experiment.data, program_signature(self.experiment, self.plan)

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
        self._num_jobs = len(jobs)
        self._here: set[Job] = set()
        self._is_closed = False
        # With the header of the last attempt.
        self._left = {
            job: None if record is None else record.header
            for job in jobs
            for record in [job.record()]
            if record is None or not record.is_complete
        }
        self._elsewhere = {job for job in self._left if _is_held(job)}

    @property
    def left(self) -> list[Job]:
        """Those that nobody has finished, as far as is known; others may be at some of them."""
        return list(self._left)

    @property
    def examples_left(self) -> int:
        """Of the runs that no other process is at, as far as is known."""
        return sum(job.examples_left for job in self.left if job not in self._elsewhere)

    def summary(self) -> str:
        """What there is to do, in a line."""
        mine = [job for job in self._left if job not in self._elsewhere]
        saved = [job for job in mine if job.step]
        failed = [job for job in mine if not job.step and _has_failed(job)]
        at = f" at update {saved[0].step:,}" if len(saved) == 1 else ""
        counts = {
            "finished": self._num_jobs - len(self._left),
            "under way elsewhere": len(self._elsewhere),
            f"to resume{at}": len(saved),
            "to make again after a failure": len(failed),
            "to make": len(mine) - len(saved) - len(failed),
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        runs = f"{self._num_jobs} run{'s' if self._num_jobs > 1 else ''}"
        return f"{runs}: {', '.join(parts)}; {_in_words(self.examples_left)} examples to train on"

    def drain(self, make: Callable[[Job], None]) -> None:
        """Makes one run after another, until none is left that nobody is at.

        Of a process that is killed, another takes the run that it was at. Several threads may do
        this at once; where one ends with an error, the others take no further run.

        Args:
            make: a run, which is this thread's alone meanwhile.
        """
        while (taken := self._take()) is not None:
            job, lock = taken
            try:
                make(job)
                del self._left[job]
            except BaseException:
                self._is_closed = True
                raise
            finally:
                self._here.discard(job)
                _let_go(job, lock)

    def _take(self) -> tuple[Job, FileLock] | None:
        for job in [] if self._is_closed else self.left:
            job.lock.parent.mkdir(parents=True, exist_ok=True)
            lock = take(job.lock)
            if lock is None:
                if job not in self._here:
                    self._elsewhere.add(job)
                continue
            self._elsewhere.discard(job)
            if job in self._left and not self._is_made_elsewhere(job):
                self._here.add(job)
                return job, lock
            self._left.pop(job, None)
            _let_go(job, lock)
        return None

    def _is_made_elsewhere(self, job: Job) -> bool:
        """Whether another process has made it meanwhile, or has tried to and failed."""
        record = job.record()
        if record is None or not record.is_result:
            return False
        return record.is_complete or record.header != self._left[job]


def _is_held(job: Job) -> bool:
    if not job.lock.exists():
        return False
    lock = take(job.lock)
    if lock is not None:
        _let_go(job, lock)
    return lock is None


def _has_failed(job: Job) -> bool:
    record = job.record()
    return record is not None and record.is_result


def _in_words(count: int) -> str:
    return f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}"


def _let_go(job: Job, lock: FileLock) -> None:
    job.lock.unlink()
    lock.release()
