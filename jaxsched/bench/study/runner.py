"""Runs a study: every run whose record is not finished, on one device or on several."""

import contextlib
import functools
import shutil
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from jaxsched.bench.study.find_records import find_records
from jaxsched.bench.study.queue import Job, Queue
from jaxsched.bench.study.shard import WHOLE, Shard
from jaxsched.bench.study.study import Study
from jaxsched.tracking.loggers.logger import Logger
from jaxsched.tracking.progress import Progress, RunProgress
from jaxsched.tracking.record_writer import RecordWriter, format_error
from jaxsched.tracking.recorder import load, plan_for, record_header, record_path, record_run
from jaxsched.tracking.records import Record, Run
from jaxsched.train import (
    AllDamagedError,
    CheckpointPolicy,
    Checkpoints,
    Preempted,
    Program,
    ResumeOptions,
    RunState,
    SignalHandler,
    make_driver,
    saved_steps,
    set_aside,
)
from jaxsched.train.population.members import distinct
from jaxsched.train.population.strategy import StrategyChoice, first_devices


def run_study(
    study: Study,
    folder: Path,
    *,
    source_text: str,
    progress: Progress,
    shard: Shard = WHOLE,
    only: Run | None = None,
    signals: SignalHandler | None = None,
    every_seconds: float = 600.0,
    at_once: StrategyChoice = "auto",
    loggers: Callable[[str, int], Sequence[Logger]] = lambda name, seed: (),
) -> None:
    """Runs all runs of a study, or of a part of it, that have no finished record.

    Experiments that can share a program do so; it is compiled once. If the study is stopped at any
    moment, calling this again resumes the interrupted run from its last checkpoint. A finished run
    keeps no checkpoint. A run that dies of an error is recorded as failed; calling this again
    repeats it. Several processes of one host may share a folder: each takes runs that no other
    works on.

    Args:
        study: the study to run.
        folder: the folder of the records.
        source_text: the text of the study file, for the records.
        progress: shows the progress.
        shard: the part to run here; other processes run the rest, in this folder or in their own.
        only: the one run to make; by default all.
        signals: the signals that save the run in progress and end the study; none by default.
        every_seconds: the most training time that a crash may cost; the interval of checkpoints.
        at_once: how the runs share the devices; a number runs so many at a time, one on each
            device. By default one on each GPU or TPU if all experiments use one device, else one
            run at a time.
        loggers: returns those of a run, by its experiment's name and its seed.

    Raises:
        ValueError: if an experiment needs more devices than there are, if `at_once` does not suit
            the devices or the experiments, or if runs were made with other data.
        Preempted: if a signal was received.
        OSError: if a record or a checkpoint cannot be written.
    """
    queue = queue_of(study, folder, progress, shard=shard, only=only)
    for job in queue.left:  # raises for missing devices before anything compiles
        make_driver(job.experiment.driver, job.experiment.num_devices)
    devices = _devices(queue.left, at_once)
    progress.say(queue.summary())
    workers = [
        _Worker(
            queue,
            device,
            source_text=source_text,
            progress=progress,
            signals=signals or SignalHandler(),
            every_seconds=every_seconds,
            at_once=len(devices),
            loggers=loggers,
        )
        for device in devices
    ]
    if len(workers) == 1:
        queue.drain(workers[0].run)
        return
    # Threads are enough: XLA releases Python's global lock while it computes.
    with ThreadPoolExecutor(len(workers), thread_name_prefix="run") as threads:
        ended = [threads.submit(queue.drain, worker.run) for worker in workers]
    for thread in ended:
        thread.result()  # raises what the thread raised


def queue_of(
    study: Study,
    folder: Path,
    progress: Progress,
    *,
    shard: Shard = WHOLE,
    only: Run | None = None,
) -> Queue:
    """Returns the queue of a study's runs, or of a part of them; says which cannot be read.

    Args:
        study: the study.
        folder: the folder of the records.
        progress: shows what is said.
        shard: the part.
        only: the one run; by default all.

    Raises:
        ValueError: if runs were made with other data.
    """
    jobs = _jobs(study, folder, only)
    # Divided by all examples, not by those left: hosts must agree on the parts at any time.
    chosen = shard.select(jobs, [job.examples for job in jobs])
    queue = Queue(chosen)
    for reason in queue.unreadable.values():
        progress.say(reason)
    _require_same_data([job for job in chosen if job not in queue.unreadable], progress)
    return queue


def _require_same_data(jobs: Sequence[Job], progress: Progress) -> None:
    """Refuses data other than those of runs that are made or begun: they could not be compared."""
    known = [job.require_same_data(load(job.experiment.task.data)) for job in jobs]
    if not all(known):
        progress.say(
            f"{known.count(False)} of {len(jobs)} runs were made before records named their data, "
            "which are therefore not compared."
        )


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


def _jobs(study: Study, folder: Path, only: Run | None) -> list[Job]:
    return [
        Job(experiment, seed, plan, record_path(folder, experiment, seed))
        for experiment in study.experiments
        if only is None or experiment.name == only.name
        for plan in [plan_for(experiment)]
        for seed in (study.seeds if only is None else [only.seed])
    ]


class _Worker:
    """Runs the runs of a queue on one device, one after another.

    Args:
        queue: the queue of runs.
        device: the device to run on; None if each run takes the first devices.
        source_text: the text of the study file.
        progress: shows the progress.
        signals: the signals that end the study.
        every_seconds: the interval of checkpoints.
        at_once: how many runs run at the same time, for the records.
        loggers: returns the loggers of a run.
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
        loggers: Callable[[str, int], Sequence[Logger]],
    ):
        self._queue, self._source_text, self._progress = queue, source_text, progress
        self._signals, self._every_seconds, self._at_once = signals, every_seconds, at_once
        self._programs, self._loggers = _ProgramCache(device), loggers

    def run(self, job: Job) -> None:
        """Runs a run, from its last checkpoint on; if it dies, records the reason.

        Raises:
            Preempted: if a signal was received; a run in progress is saved.
            OSError: if the disk is full, of which the other runs would die too.
        """
        self._stop_on_signal()
        self._progress.start(self._queue.examples_left)
        metric, begun = job.experiment.task.main_metric, job.examples - job.examples_left
        run_progress = self._progress.run(job.label, metric, begun=begun)
        before = job.header()
        try:
            reason = self._train(job, run_progress)
        except OSError:
            raise
        except Exception as error:
            self._progress.say("".join(traceback.format_exception(error)))
            reason = f"failed, {format_error(error)}"
            # An error during training is in the record already; one before it, as on compiling, is
            # not: the record is missing or that of an earlier attempt.
            if job.header() == before:
                self._record_failure(job, error)
        run_progress.end(job.examples, reason)

    def _train(self, job: Job, run_progress: RunProgress) -> str:
        """Trains the run; returns why it ended early, "" if it did not."""
        self._progress.show(f"{job.label}: compiling")
        program = self._programs.get(job, self._queue.left)
        self._stop_on_signal()
        self._progress.show(job.label)
        start = self._start(job, program)
        with contextlib.ExitStack() as stack:
            # Opened on first use, so that a run that is never saved has no folder.
            checkpoints = functools.cache(lambda: stack.enter_context(Checkpoints(job.checkpoints)))
            outcome = record_run(
                program,
                job.seed,
                job.path,
                source_text=self._source_text,
                on_evaluation=run_progress.evaluation,
                on_examples=run_progress.done,
                start=start,
                checkpoint_policy=CheckpointPolicy(
                    checkpoints,
                    program,
                    job.seed,
                    self._signals,
                    every_seconds=self._every_seconds,
                ),
                at_once=self._at_once,
                is_claimed=True,
                loggers=self._loggers(job.experiment.name, job.seed),
                warn=self._progress.say,
            )
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        return outcome.reason

    def _record_failure(self, job: Job, error: Exception) -> None:
        """Writes the record of a run that died before it began."""
        header = record_header(
            job.experiment,
            job.seed,
            load(job.experiment.task.data),
            source_text=self._source_text,
            compile_seconds=None,
            num_devices=job.experiment.num_devices,
        )
        header = {**header, "initial_layers": None, "resumed_at": None}
        with RecordWriter(job.path, header, is_claimed=True) as writer:
            writer.fail(error)

    def _start(self, job: Job, program: Program) -> RunState | None:
        """The state to resume the run from; None to start it from the beginning."""
        if not saved_steps(job.checkpoints):
            return None
        try:
            with Checkpoints(job.checkpoints) as checkpoints:
                return ResumeOptions(job.checkpoints, resume=True).load(checkpoints, program)
        except AllDamagedError as error:
            aside = set_aside(job.checkpoints)
            self._progress.say(f"{error.what}; {job.label} starts anew, they are now in {aside}")
            return None

    def _stop_on_signal(self) -> None:
        if self._signals.received is not None:
            raise Preempted(self._signals.received, "between two runs")


class _ProgramCache:
    """The compiled programs, each kept as long as an unfinished run may need it.

    Args:
        device: the device of the programs; None for the first devices.
    """

    def __init__(self, device: Any):
        self._device = device
        self._programs: dict[Any, Program] = {}

    def get(self, job: Job, left: Sequence[Job]) -> Program:
        """Returns the program of a run; programs that no run needs any more are dropped.

        Args:
            job: the run.
            left: all unfinished runs, including this one.
        """
        needed = {other.program_key for other in left}
        self._programs = {key: self._programs[key] for key in self._programs if key in needed}
        key = job.program_key
        if key not in self._programs:
            first, *others = distinct(
                other.experiment for other in left if other.program_key == key
            )
            self._programs[key] = Program(
                first,
                load(first.task.data),
                alike=others,
                device=self._device,
                resumes=bool(saved_steps(job.checkpoints)),
            )
        return self._programs[key].member(job.experiment)


def study_records(study: Study, folder: Path) -> list[Record]:
    """Reads the records of the study's runs that have ended, see `find_records`."""
    return list(find_records(study.manifest(), [folder]).records)
