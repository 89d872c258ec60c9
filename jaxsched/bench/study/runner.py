"""All runs of a study on record."""

import contextlib
import functools
import shutil
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from jaxsched.bench.study.queue import Job, Queue
from jaxsched.bench.study.shard import WHOLE, Shard
from jaxsched.bench.study.study import Study
from jaxsched.tracking.progress import Progress, RunProgress
from jaxsched.tracking.recorder import load, plan_for, record_header, record_path, record_run
from jaxsched.tracking.records import Record, RecordWriter, format_error, read_record
from jaxsched.train import (
    AllDamagedError,
    Checkpoints,
    Preempted,
    Program,
    ResumeOptions,
    RunState,
    Saving,
    SignalHandler,
    make_driver,
    saved_steps,
    set_aside,
)
from jaxsched.train.population.family import distinct
from jaxsched.train.population.strategy import StrategyChoice, first_devices


def run_study(
    study: Study,
    folder: Path,
    *,
    source_text: str,
    progress: Progress,
    shard: Shard = WHOLE,
    signals: SignalHandler | None = None,
    every_seconds: float = 600.0,
    at_once: StrategyChoice = "auto",
) -> None:
    """Makes every run of a study, or of a part of it, that no finished record covers yet.

    Experiments of one family share a program, compiled once. Stopped at any moment and called
    again, it goes on with the run that was cut off, from where that was saved last. A run that is
    on record keeps no checkpoint. One that dies of an error is on record as failed, and is made
    again by another call. Several processes may do this at once in one folder: each takes runs that
    no other is at.

    Args:
        study: what to run.
        folder: of the records.
        source_text: of the study file.
        progress: what shows how far it is.
        shard: the part that is made here; others make the rest, in this folder or in their own.
        signals: on which the run under way is saved and the study ends; none by default.
        every_seconds: how much of a run a crash may cost at most.
        at_once: how runs share the devices; a number makes so many at a time, one on each device.
            By default one on each GPU or TPU where each run takes one device, else one at a time.

    Raises:
        ValueError: when an experiment needs more devices than there are, or cannot be one of
            several at once.
        Preempted: when a signal has come.
        OSError: when a record or a checkpoint cannot be written.
    """
    jobs = _jobs(study, folder)
    # By examples, which do not depend on how far the others are.
    queue = Queue(shard.of(jobs, [job.examples for job in jobs]))
    for job in queue.left:  # what is not to be had here is said before anything compiles
        make_driver(job.experiment.driver, job.experiment.num_devices)
    devices = _devices(queue.left, at_once)
    progress.say(queue.summary())
    makers = [
        _Maker(
            queue,
            device,
            source_text=source_text,
            progress=progress,
            signals=signals or SignalHandler(),
            every_seconds=every_seconds,
            at_once=len(devices),
        )
        for device in devices
    ]
    if len(makers) == 1:
        queue.drain(makers[0].make)
        return
    # XLA works without holding Python up, so that threads are enough.
    with ThreadPoolExecutor(len(makers), thread_name_prefix="run") as threads:
        ended = [threads.submit(queue.drain, maker.make) for maker in makers]
    for thread in ended:
        thread.result()


def _devices(jobs: Sequence[Job], choice: StrategyChoice) -> list[Any]:
    """One device for each run that is made at a time; None lets a run take the first ones."""
    if choice == "vmap":
        raise ValueError(
            "a study compares the seconds of its runs, which runs on one device would share, got "
            "at_once='vmap'; use 'devices' or a number."
        )
    larger = [job.label for job in jobs if job.experiment.num_devices != 1]
    if choice == "auto":
        # The virtual devices of a CPU share its cores.
        is_worthwhile = jax.default_backend() != "cpu" and not larger
        choice = "devices" if is_worthwhile else "in_turn"
    if choice == "devices":
        choice = jax.local_device_count()
    count = 1 if choice == "in_turn" else choice
    devices = first_devices(count)
    if count > 1 and larger:
        raise ValueError(
            f"at_once={count} needs experiments of one device each, got {larger[0]}; give it "
            "num_devices=1 or leave at_once out."
        )
    return [None] if count == 1 else devices


def _jobs(study: Study, folder: Path) -> list[Job]:
    return [
        Job(experiment, seed, plan, record_path(folder, experiment, seed))
        for experiment in study.experiments
        for plan in [plan_for(experiment)]
        for seed in study.seeds
    ]


class _Maker:
    """What makes the runs of a study, one after another.

    Args:
        queue: that they come from.
        device: to make them on; None where each takes the first ones.
        source_text: see `run_study`; so are the others.
    """

    def __init__(
        self,
        queue: Queue,
        device: Any,
        *,
        source_text: str,
        progress: Progress,
        signals: SignalHandler,
        every_seconds: float,
        at_once: int,
    ):
        self._queue, self._source_text, self._progress = queue, source_text, progress
        self._signals, self._every_seconds, self._at_once = signals, every_seconds, at_once
        self._programs = _Programs(device)

    def make(self, job: Job) -> None:
        """Makes a run, from where it was saved if it was; one that dies says why on record.

        Raises:
            Preempted: when a signal has come; a run that was under way is saved.
            OSError: when the disk is full, of which the other runs would die as well.
        """
        self._end_if_told()
        self._progress.start(self._queue.examples_left)
        shown = self._progress.run(job.label, begun=job.examples - job.examples_left)
        before = job.header()
        try:
            reason = self._make(job, shown)
        except OSError:
            raise
        except Exception as error:
            self._progress.say("".join(traceback.format_exception(error)))
            reason = f"failed, {format_error(error)}"
            if job.header() == before:
                self._record_failure(job, error)
        shown.end(job.examples, reason)

    def _make(self, job: Job, shown: RunProgress) -> str:
        """Why the run ended early; "" where it did not."""
        self._progress.show(f"{job.label}: compiling")
        program = self._programs.of(job, self._queue.left)
        self._end_if_told()
        self._progress.show(job.label)
        start = self._start(job, program)
        with contextlib.ExitStack() as stack:
            # A run that is never saved has no folder.
            checkpoints = functools.cache(lambda: stack.enter_context(Checkpoints(job.checkpoints)))
            outcome = record_run(
                program,
                job.seed,
                job.path,
                source_text=self._source_text,
                on_evaluation=shown.evaluation,
                on_examples=shown.done,
                start=start,
                saving=Saving(
                    checkpoints,
                    program,
                    job.seed,
                    self._signals,
                    every_seconds=self._every_seconds,
                ),
                at_once=self._at_once,
            )
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        return outcome.reason

    def _record_failure(self, job: Job, error: Exception) -> None:
        """The whole record of a run that died before it began."""
        header = record_header(
            job.experiment,
            job.seed,
            load(job.experiment.data),
            source_text=self._source_text,
            compile_seconds=None,
            num_devices=job.experiment.num_devices,
        )
        with RecordWriter(
            job.path, {**header, "initial_layers": None, "resumed_at": None}
        ) as writer:
            writer.fail(error)

    def _start(self, job: Job, program: Program) -> RunState | None:
        """Where a run goes on from; None for its beginning."""
        if not saved_steps(job.checkpoints):
            return None
        try:
            with Checkpoints(job.checkpoints) as checkpoints:
                return ResumeOptions(job.checkpoints, resume=True).position(checkpoints, program)
        except AllDamagedError as error:
            aside = set_aside(job.checkpoints)
            self._progress.say(f"{error.what}; {job.label} starts anew, they are now in {aside}")
            return None

    def _end_if_told(self) -> None:
        if self._signals.received is not None:
            raise Preempted(self._signals.received, "between two runs")


class _Programs:
    """The programs of runs, one a family, each kept as long as a run that is left may need it.

    Args:
        device: see `Program`.
    """

    def __init__(self, device: Any):
        self._device = device
        self._programs: dict[Any, Program] = {}

    def of(self, job: Job, left: Sequence[Job]) -> Program:
        """The program of a run.

        Args:
            job: the run.
            left: all that are left, this one among them.
        """
        families = {other.family for other in left}
        self._programs = {of: self._programs[of] for of in self._programs if of in families}
        if job.family not in self._programs:
            alike = distinct(other.experiment for other in left if other.family == job.family)
            first, *others = alike
            self._programs[job.family] = Program(
                first, load(first.data), alike=others, device=self._device
            )
        return self._programs[job.family].member(job.experiment)


def study_records(study: Study, folder: Path) -> list[Record]:
    """The results of a study so far, in its order; other files in the folder are left alone."""
    paths = [folder / run.file_name for run in study.manifest().runs]
    records = [read_record(path) for path in paths if path.exists()]
    return [record for record in records if record.is_result]
