"""All runs of a study on record."""

import contextlib
import functools
import shutil
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsched.bench.progress import Progress
from jaxsched.bench.records import Record, RecordWriter, described, read_record
from jaxsched.bench.runner import load, planned, record_header, record_path, record_run
from jaxsched.bench.shard import WHOLE, Shard
from jaxsched.bench.study import Study
from jaxsched.train import (
    AllDamagedError,
    Checkpoints,
    Experiment,
    Position,
    Preempted,
    Program,
    Saving,
    Signals,
    Start,
    make_driver,
    saved_steps,
    set_aside,
)
from jaxsched.train.members import distinct, form


class _Run(NamedTuple):
    experiment: Experiment
    seed: int
    path: Path  # of its record

    @property
    def checkpoints(self) -> Path:
        """The folder that it is saved in, as long as it is under way."""
        return self.path.with_suffix("")

    @property
    def label(self) -> str:
        return f"{self.experiment.name}, seed {self.seed}"


def _runs(study: Study, folder: Path) -> Iterator[_Run]:
    for experiment in study.experiments:
        for seed in study.seeds:
            yield _Run(experiment, seed, record_path(folder, experiment, seed))


def _examples(experiment: Experiment) -> int:
    plan = planned(experiment)
    return plan.examples_at(plan.total_steps)


def _is_complete(run: _Run) -> bool:
    return run.path.exists() and read_record(run.path).is_complete


def run_study(
    study: Study,
    folder: Path,
    *,
    source_text: str,
    progress: Progress,
    shard: Shard = WHOLE,
    signals: Signals | None = None,
    every_seconds: float = 600.0,
) -> None:
    """Makes every run of a study, or of a part of it, that no finished record covers yet.

    Experiments of one family share a program, compiled once. Stopped at any moment and called
    again, it goes on with the run that was cut off, from where that was saved last. A run that is
    on record keeps no checkpoint. One that dies of an error is on record as failed, and is made
    again by another call.

    Args:
        study: what to run.
        folder: of the records.
        source_text: of the study file.
        progress: what shows how far it is.
        shard: the part that is made here; others make the rest, in this folder or in their own.
        signals: on which the run under way is saved and the study ends; none by default.
        every_seconds: how much of a run a crash may cost at most.

    Raises:
        ValueError: when an experiment needs more devices than there are.
        Preempted: when a signal has come.
        OSError: when a record or a checkpoint cannot be written.
    """
    runs = list(_runs(study, folder))
    # By examples, which do not depend on how far the others are.
    mine = shard.of(runs, [_examples(run.experiment) for run in runs])
    missing = [run for run in mine if not _is_complete(run)]
    for run in missing:  # what is not to be had here is said before anything compiles
        make_driver(run.experiment.driver, run.experiment.num_devices)
    progress.start(sum(planned(run.experiment).total_steps for run in missing))
    maker = _Maker(
        _Programs([run.experiment for run in missing]),
        source_text=source_text,
        progress=progress,
        signals=signals or Signals(),
        every_seconds=every_seconds,
    )
    for experiment in distinct(run.experiment for run in missing):
        for run in missing:
            if run.experiment == experiment:
                maker.make(run)


class _Maker:
    """What makes the runs of a study, one after another.

    Args:
        programs: of their experiments.
        source_text: see `run_study`; so are the others.
    """

    def __init__(
        self,
        programs: "_Programs",
        *,
        source_text: str,
        progress: Progress,
        signals: Signals,
        every_seconds: float,
    ):
        self._programs, self._source_text, self._progress = programs, source_text, progress
        self._signals, self._every_seconds = signals, every_seconds

    def make(self, run: _Run) -> None:
        """Makes a run, from where it was saved if it was; one that dies says why on record.

        Raises:
            Preempted: when a signal has come; a run that was under way is saved.
            OSError: when the disk is full, of which the other runs would die as well.
        """
        self._end_if_told()
        run.path.unlink(missing_ok=True)  # of an attempt that was cut off or failed
        try:
            reason = self._make(run)
        except OSError:
            raise
        except Exception as error:
            self._progress.show(run.label)
            self._progress.say("".join(traceback.format_exception(error)))
            reason = f"failed, {described(error)}"
            if not run.path.exists():
                self._record_failure(run, error)
        self._progress.end_run(planned(run.experiment).total_steps, reason)

    def _make(self, run: _Run) -> str:
        """Why the run ended early; "" where it did not."""
        self._progress.show(f"{run.label}: compiling")
        program = self._programs.of(run.experiment)
        self._end_if_told()
        self._progress.show(run.label)
        start = self._start(run, program)
        with contextlib.ExitStack() as stack:
            # A run that is never saved has no folder.
            checkpoints = functools.cache(lambda: stack.enter_context(Checkpoints(run.checkpoints)))
            outcome = record_run(
                program,
                run.seed,
                run.path,
                source_text=self._source_text,
                on_evaluation=self._progress.evaluation,
                on_updates=self._progress.updates,
                start=start,
                saving=Saving(
                    checkpoints,
                    program,
                    run.seed,
                    self._signals,
                    every_seconds=self._every_seconds,
                ),
            )
        shutil.rmtree(run.checkpoints, ignore_errors=True)
        return outcome.reason

    def _record_failure(self, run: _Run, error: Exception) -> None:
        """The whole record of a run that died before it began."""
        header = record_header(
            run.experiment,
            run.seed,
            load(run.experiment.data),
            source_text=self._source_text,
            compile_seconds=None,
            num_devices=run.experiment.num_devices,
        )
        with RecordWriter(
            run.path, {**header, "initial_layers": None, "resumed_at": None}
        ) as writer:
            writer.fail(error)

    def _start(self, run: _Run, program: Program) -> Position | None:
        """Where a run goes on from; None for its beginning."""
        if not saved_steps(run.checkpoints):
            return None
        try:
            with Checkpoints(run.checkpoints) as checkpoints:
                return Start(run.checkpoints, resume=True).position(checkpoints, program)
        except AllDamagedError as error:
            aside = set_aside(run.checkpoints)
            self._progress.say(f"{error.what}; {run.label} starts anew, they are now in {aside}")
            return None

    def _end_if_told(self) -> None:
        if self._signals.received is not None:
            raise Preempted(self._signals.received, "between two runs")


class _Programs:
    """The programs of experiments, one a family, each kept until no run needs it any more.

    Args:
        experiments: of the runs that are left, each as often as it will be asked for.
    """

    def __init__(self, experiments: Sequence[Experiment]):
        self._left: dict[Any, list[Experiment]] = {}
        for experiment in experiments:
            self._left.setdefault(_family(experiment), []).append(experiment)
        self._programs: dict[Any, Program] = {}

    def of(self, experiment: Experiment) -> Program:
        """The experiment's program, for one run of it."""
        family = _family(experiment)
        left = self._left[family]
        alike = distinct(left)
        left.remove(experiment)
        if family not in self._programs:
            self._programs[family] = Program(alike[0], load(experiment.data), alike=alike[1:])
        program = self._programs[family].member(experiment)
        if not left:
            del self._programs[family]
        return program


def _family(experiment: Experiment) -> Any:
    return experiment.data, form(experiment, planned(experiment))


def study_records(study: Study, folder: Path) -> list[Record]:
    """The results of a study so far, in its order; other files in the folder are left alone."""
    records = [read_record(run.path) for run in _runs(study, folder) if run.path.exists()]
    return [record for record in records if record.is_result]
