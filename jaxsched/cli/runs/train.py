"""`jaxsched train`: trains one experiment, from its start or from a checkpoint."""

import contextlib
import dataclasses
import functools
import math
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxsched import tracking
from jaxsched.cli.commands.train import Train
from jaxsched.cli.curve_files import CurveFiles, curves_in
from jaxsched.cli.errors import exit_with, in_words
from jaxsched.cli.exit_status import SIGNALLED, ExitStatus
from jaxsched.cli.options import Given, checked_plan
from jaxsched.cli.printing import print_line, print_path, print_plan
from jaxsched.cli.set_aside import set_aside
from jaxsched.data import Dataset
from jaxsched.experiment import Experiment, describe
from jaxsched.plan import Plan
from jaxsched.train import (
    CheckpointPolicy,
    Checkpoints,
    Driver,
    EndTogether,
    Evaluation,
    Outcome,
    Preempted,
    ProfiledUpdates,
    Program,
    ResumeOptions,
    SignalHandler,
    broadcast_from_main,
    connect,
    is_main,
    largest_batch_size,
    require_same,
    require_updates,
    split_over_devices,
)

_AFTER_DIVERGENCE = (
    "what helps: a lower learning rate; a warm-up, such as js.Warmup(schedule, duration=1); or "
    "`jaxsched range-test` on the same config, which finds the rates that train"
)


def run(given: Given[Train], console: Console) -> None:
    """Runs the command."""
    options = given.options
    if options.profile is not None:
        require_updates(*options.profile)
    if options.distributed or options.coordinator is not None:
        connect(options.coordinator, options.processes, options.process_id)
    console.quiet = options.quiet or not is_main()
    with EndTogether(_failure, _report):
        _run(given, console)


def _failure(error: BaseException) -> str:
    """The words of an error that may be this process's own; "" for an end that all share."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return "" if cause is None or isinstance(cause, Preempted) else in_words(cause)


def _report(error: BaseException) -> int:
    """Prints an error as the command does for one process; returns the exit status."""
    if isinstance(error, KeyboardInterrupt):
        return SIGNALLED + signal.SIGINT
    if not isinstance(error, SystemExit | ValueError | OSError | ImportError | MemoryError):
        traceback.print_exception(error)
        return ExitStatus.FAILED
    if isinstance(error, SystemExit):
        return int(error.code or 0)  # it is printed already
    print(f"error: {in_words(error)}", file=sys.stderr)
    return ExitStatus.BAD_INPUT


def _run(given: Given[Train], console: Console) -> None:
    """Runs the command on processes that are connected."""
    options, experiment = given.options, given.experiment
    require_same("experiment", describe(experiment))
    require_same("data", tracking.load(experiment.task.data).fingerprint)
    if options.batch_size == "max":
        experiment = _with_largest_batch(experiment, console)
        require_same("experiment", describe(experiment))
    plan = checked_plan(experiment)
    print_plan(experiment, plan, console)
    path = tracking.record_path(options.workdir, experiment, experiment.seed)
    folder = path.with_suffix("")
    curves = CurveFiles(folder, experiment, plan, lambda text: print_line(text, console))
    loggers = (curves, *tracking.loggers_in(folder, options.log))
    this = _Run(options, experiment, plan, path, loggers)
    program, outcome = _train(this, given.source_text, console)
    print_line(f"{outcome.reason or outcome.status}; record in {path}", console)
    if outcome.rows:
        print_path("curves", curves_in(folder), console)
        print_line(_cost_summary(program, outcome), console)
    if average := _lost_average(outcome):
        print_line(average, console)
    if outcome.status == "diverged":
        print_line(_AFTER_DIVERGENCE, console)
        sys.exit(ExitStatus.DIVERGED)


def _train(run: "_Run", source_text: str, console: Console) -> tuple[Program, Outcome]:
    """Trains while it shows how far it is."""
    experiment, seed = run.experiment, run.experiment.seed
    data = tracking.load(experiment.task.data)
    driver, _ = split_over_devices(experiment, run.plan, data)
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(_ErrorStatus())
        progress = stack.enter_context(tracking.Progress(console))
        signals = stack.enter_context(SignalHandler())
        checkpoints = run.open(data, driver, stack, progress)
        progress.start(run.plan.examples_at(run.plan.total_steps))
        progress.show(f"{experiment.name}: compiling")
        program = Program(
            experiment,
            data,
            read_workers=run.options.read_workers,
            resumes=broadcast_from_main(driver, run.start.goes_on),
        )
        shown = progress.run(f"{experiment.name}, seed {seed}", experiment.task.main_metric)
        table = tracking.EvaluationTable(
            progress,
            experiment.task.metrics,
            experiment.task.main_metric,
            has_average=program.keeps_average,
        )

        def show(row: Evaluation) -> None:
            shown.evaluation(row)
            table.add(row)

        start = run.start.load(checkpoints, program)
        if run.profile is not None:
            stack.enter_context(run.profile)
        status.has_begun = True
        outcome = tracking.record_run(
            program,
            seed,
            run.record,
            source_text=source_text,
            on_evaluation=show,
            on_examples=shown.done,
            start=start,
            checkpoint_policy=run.checkpoint_policy(checkpoints, program, signals),
            profile=run.profile,
            is_claimed=True,
            loggers=run.loggers,
            warn=progress.say,
        )
    return program, outcome


@dataclass(frozen=True)
class _Run:
    """A run before it is compiled, and where it is written to."""

    options: Train
    experiment: Experiment
    plan: Plan
    record: Path
    loggers: tuple[tracking.Logger, ...]

    @property
    def start(self) -> ResumeOptions:
        """Where it starts."""
        folder = self.record.with_suffix("")
        return ResumeOptions(folder, self.options.resume, self.options.start_from)

    @functools.cached_property
    def profile(self) -> ProfiledUpdates | None:
        """The updates to trace."""
        updates = self.options.profile
        if updates is None:
            return None
        return ProfiledUpdates(self.record.with_suffix(".profile"), *updates)

    def checkpoint_policy(
        self, checkpoints: Checkpoints | None, program: Program, signals: SignalHandler
    ) -> CheckpointPolicy:
        """When it is saved."""
        return CheckpointPolicy(
            lambda: checkpoints,
            program,
            self.experiment.seed,
            signals,
            every_seconds=60 * self.options.checkpoint_minutes,
            save_phase_starts=True,
            save_best=True,
            save_last=True,
            keep_before_last_decay=True,
        )

    def open(
        self,
        data: Dataset,
        driver: Driver,
        stack: contextlib.ExitStack,
        progress: tracking.Progress,
    ) -> Checkpoints | None:
        """Opens the run's checkpoints on the main process, once that has found that it may start.

        The main process also holds the claim on the record, until the stack is closed. What it
        refuses is raised on every process; the others get None.
        """
        opened = []

        def check() -> None:
            start = self.start
            first = start.first_step()  # refuses what is no checkpoint before a file is made
            if self.profile is not None:
                self.profile.require_within(first, self.plan.total_steps)
            with contextlib.ExitStack() as opening:
                opening.enter_context(tracking.claim_record(self.record))
                said = [self._make_way()]
                said.append(start.check(self.experiment, self.plan, self.record, data))
                opened.append(opening.enter_context(Checkpoints(start.folder)))
                stack.push(opening.pop_all())
            for text in filter(None, said):
                progress.say(text)

        broadcast_from_main(driver, check)
        return opened[0] if opened else None

    def _make_way(self) -> str:
        """Refuses a finished run, or sets it aside; says where."""
        if not self.options.overwrite:
            if tracking.is_complete(self.record):
                raise FileExistsError(
                    f"{self.record} holds a finished run; make it again with --overwrite, which "
                    "sets it aside, or write to another --workdir."
                )
            return ""
        own = (self.record, self.start.folder, self.record.with_suffix(".profile"))
        folder = set_aside(own)
        return f"the earlier run is kept in {folder}" if folder else ""


class _ErrorStatus:
    """Context manager: ends the command with 1 for an error that comes after the run has begun.

    An error of what is closed last, such as a checkpoint that could not be written, counts too.
    """

    has_begun = False

    def __enter__(self) -> "_ErrorStatus":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.has_begun and isinstance(error, ValueError | OSError | MemoryError):
            exit_with(error, ExitStatus.FAILED)


def _lost_average(outcome: Outcome) -> str:
    """Says that the average of the weights is not finite at the end; "" if that is not so."""
    values = {row.step: row.averaged_test_loss for row in outcome.rows}
    lost = [step for step, v in values.items() if v is not None and not math.isfinite(v)]
    if not lost or lost[-1] != outcome.rows[-1].step:
        return ""
    return (
        f"the loss of the averaged weights is not finite, first after update {lost[0]:,}: weights "
        "that were too large entered the average; start it later, or train at a lower rate"
    )


def _cost_summary(program: Program, outcome: Outcome) -> str:
    """The seconds and the memory that the run took, as text."""
    last, later = outcome.rows[-1], program.compilations[1:]
    compiled = f"compiled in {program.compile_seconds:.1f} s"
    if later:
        seconds, waited = (sum(c.seconds for c in later), sum(c.waited_seconds for c in later))
        compiled += f" and {seconds:.1f} s during the run, which waited {waited:.1f} s for it"
    peaks = tracking.peak_memory(program)
    memory = [f"{size / 1e9:.2f} GB ({where})" for where, size in peaks.items()]
    return (
        f"{compiled}; trained in {last.train_seconds:.1f} s ({outcome.examples_per_second:,.0f} "
        f"examples/s), evaluated in {last.evaluation_seconds:.1f} s; peak memory "
        f"{', '.join(memory)}"
    )


def _with_largest_batch(experiment: Experiment, console: Console) -> Experiment:
    """The experiment with the largest batch size that fits in the devices' memory."""
    if len(experiment.phases) != 1:
        raise ValueError(
            f"--batch-size max needs an experiment of one phase, got {len(experiment.phases)}; "
            "leave --batch-size out, or give the experiment one phase."
        )
    program = Program(experiment, tracking.load(experiment.task.data))
    size = largest_batch_size(program)
    memory = program.driver.memory()
    print_line(
        f"batch size {size:,}, the largest that fits in {memory / 1e9:.1f} GB per device", console
    )
    (phase,) = experiment.phases
    return dataclasses.replace(experiment, phases=(dataclasses.replace(phase, batch_size=size),))
