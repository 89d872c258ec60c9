"""The queue of a study's runs, which several processes of one host share through a folder.

A process that works on a run holds the lock of a file beside its record. The operating system
releases the lock if the process is killed; then another process takes the run. Runs on several
hosts are the tasks of a cluster's own queue, see `engines`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from jaxsched.data import Dataset
from jaxsched.experiment import Experiment
from jaxsched.file_lock import remove, take
from jaxsched.plan import Plan
from jaxsched.tracking.claim import is_claimed, record_lock_path
from jaxsched.tracking.records import Record, read_record
from jaxsched.train import saved_steps
from jaxsched.train.checkpointing.resume import newest_content
from jaxsched.train.program.shared_program import program_signature
from jaxsched.train.same_data import DATA_KEY, require_same_data


@dataclass(frozen=True, eq=False)
class Job:
    """A run of a study, as an entry of the queue.

    Attributes:
        experiment: the run's experiment.
        seed: the run's seed.
        plan: the experiment's plan.
        path: the file of the run's record.
    """

    experiment: Experiment
    seed: int
    plan: Plan
    path: Path

    @property
    def label(self) -> str:
        """The run's name for messages."""
        return f"{self.experiment.name}, seed {self.seed}"

    @property
    def checkpoints(self) -> Path:
        """The folder of the run's checkpoints, which exists only while the run is unfinished."""
        return self.path.with_suffix("")

    @property
    def lock(self) -> Path:
        """The file whose lock, the claim on the record, is held by who works on the run."""
        return record_lock_path(self.path)

    @cached_property
    def step(self) -> int:
        """The update of the newest checkpoint, 0 if there is none."""
        return max(saved_steps(self.checkpoints), default=0)

    @property
    def examples(self) -> int:
        """The number of examples that the whole run trains on."""
        return self.plan.examples_at(self.plan.total_steps)

    @property
    def examples_left(self) -> int:
        """The number of examples that the run has yet to train on."""
        return self.examples - self.plan.examples_at(self.step)

    @cached_property
    def program_key(self) -> Any:
        """A key that is equal for runs that can share one program."""
        return self.experiment.task.data, program_signature(self.experiment, self.plan)

    def record(self) -> Record | None:
        """Reads the record of this run or of an earlier attempt; None if there is none."""
        return read_record(self.path) if self.path.exists() else None

    def header(self) -> Mapping[str, Any] | None:
        """Reads the header of the record; each attempt has another, with its start time in it."""
        record = self.record()
        return None if record is None else record.header

    def require_same_data(self, dataset: Dataset) -> bool:
        """Refuses data other than those of the run's record and checkpoints.

        Args:
            dataset: the experiment's data set.

        Returns:
            Whether all of them say which data they were made with.

        Raises:
            ValueError: if they were made with other data; the message says what differs.
        """
        record, content = self.record(), newest_content(self.checkpoints)
        # A run that was cut off is written anew; only what it saved goes on.
        header = record.header if record is not None and record.is_complete else None
        made = {self.path: header, self.checkpoints: content}
        for path, found in made.items():
            if found is not None:
                require_same_data(path, found, dataset)
        return all(found is None or DATA_KEY in found for found in made.values())


class Queue:
    """The runs without a finished record. Several processes and threads may take runs from it.

    Args:
        jobs: all runs, in the order in which to work on them.

    Attributes:
        unreadable: for each run whose record cannot be read, the reason. Such a run is not made, so
            that nothing of its file is lost.
    """

    def __init__(self, jobs: Sequence[Job]):
        self._num_jobs = len(jobs)
        self._here: set[Job] = set()  # in progress in this process
        self._is_closed = False
        self._left: dict[Job, Mapping[str, Any] | None] = {}
        self.unreadable: dict[Job, str] = {}
        for job in jobs:
            try:
                record = job.record()
            except (ValueError, OSError) as error:
                self.unreadable[job] = str(error)
                continue
            if record is None or not record.is_complete:
                # The header of the last attempt, to notice another process's attempt later.
                self._left[job] = None if record is None else record.header
        self._elsewhere = {job for job in self._left if is_claimed(job.path)}

    @property
    def left(self) -> list[Job]:
        """The unfinished runs, as far as this process knows; some may be in progress elsewhere."""
        return list(self._left)

    @property
    def free(self) -> list[Job]:
        """The unfinished runs that no other process works on."""
        return [job for job in self._left if job not in self._elsewhere]

    @property
    def examples_left(self) -> int:
        """The number of examples left in the free runs."""
        return sum(job.examples_left for job in self.free)

    def summary(self) -> str:
        """Describes in one line how many runs there are in which state."""
        free = self.free
        saved = [job for job in free if job.step]
        failed = [job for job in free if not job.step and _has_failed(job)]
        at = f" at update {saved[0].step:,}" if len(saved) == 1 else ""
        counts = {
            "finished": self._num_jobs - len(self._left) - len(self.unreadable),
            "that cannot be read": len(self.unreadable),
            "in progress elsewhere": len(self._elsewhere),
            f"to resume{at}": len(saved),
            "to repeat after a failure": len(failed),
            "to start": len(free) - len(saved) - len(failed),
        }
        parts = [f"{count} {state}" for state, count in counts.items() if count]
        runs = f"{self._num_jobs} run{'s' if self._num_jobs > 1 else ''}"
        return (
            f"{runs}: {', '.join(parts)}; {_format_count(self.examples_left)} examples to train on"
        )

    def drain(self, work: Callable[[Job], None]) -> None:
        """Works on one run after another, until none is left that no other process works on.

        Several threads may call this at the same time. If one of them raises, the others finish
        their run and take no other.

        Args:
            work: completes a run, which no other thread or process works on meanwhile.
        """
        while (taken := self._take()) is not None:
            job, lock = taken
            try:
                work(job)
                del self._left[job]
            except BaseException:
                self._is_closed = True
                raise
            finally:
                self._here.discard(job)
                remove(job.lock, lock)

    def _take(self) -> tuple[Job, FileLock] | None:
        for job in [] if self._is_closed else self.left:
            lock = take(job.lock)
            if lock is None:
                if job not in self._here:
                    self._elsewhere.add(job)
                continue
            self._elsewhere.discard(job)
            # Only now, with the lock held, is it certain that no other process has just done it.
            if job in self._left and not self._is_done_elsewhere(job):
                self._here.add(job)
                return job, lock
            self._left.pop(job, None)
            remove(job.lock, lock)
        return None

    def _is_done_elsewhere(self, job: Job) -> bool:
        """Whether another process has finished the run meanwhile, or has tried and failed.

        A run that failed in this time is not tried again: else each process would try it once.
        """
        record = job.record()
        if record is None or not record.is_result:
            return False
        return record.is_complete or record.header != self._left[job]


def _has_failed(job: Job) -> bool:
    record = job.record()
    return record is not None and record.is_result


def _format_count(count: int) -> str:
    return f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}"
