"""`jaxsched train`: trains one experiment, from its start or from a checkpoint."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from jaxsched import tracking
from jaxsched.cli.errors import exit_with
from jaxsched.cli.options import ExperimentCommand, checked_plan, require_minutes
from jaxsched.cli.paths import UserPath
from jaxsched.cli.printing import print_line, print_plan
from jaxsched.data import Dataset
from jaxsched.experiment import Experiment, describe
from jaxsched.plan import Plan
from jaxsched.train import (
    CheckpointPolicy,
    Checkpoints,
    Driver,
    Outcome,
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


@dataclass(frozen=True)
class Train(ExperimentCommand):
    """Trains one experiment and writes its record.

    Any field of the experiment can be set after the config file:
    `jaxsched train configs/digits_one_cycle.py --optimizer.lr.peak 0.3 --seed 1`;
    `jaxsched train configs/digits_one_cycle.py --help` lists them.

    SIGTERM and Ctrl-C save the run and end it with exit status 143 or 130; with --resume the same
    command goes on as if nothing had happened. The exit status is 0 for a run that came to its end,
    1 for one that failed on the way, 2 for bad input and 3 for a run that diverged.
    """

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command; `rest` holds its options and fields of its experiment."""
        source_text = self.source_text
        options = self.parse(rest, TrainOptions, "train")
        if options.distributed or options.coordinator is not None:
            connect(options.coordinator, options.processes, options.process_id)
        console.quiet = not is_main()
        experiment, seed = options.experiment, options.experiment.seed
        if options.batch_size == "max":
            experiment = _with_largest_batch(experiment, console)
        require_same("experiment", json.dumps(describe(experiment)))
        plan = checked_plan(experiment)
        print_plan(experiment, plan, console)
        path = tracking.record_path(options.workdir, experiment, seed)
        start = ResumeOptions(path.with_suffix(""), options.resume, options.start_from)
        data = tracking.load(experiment.task.data)
        driver, _ = split_over_devices(experiment, plan, data)
        profile = None
        if options.profile is not None:
            profile = ProfiledUpdates(path.with_suffix(".profile"), *options.profile)
        with contextlib.ExitStack() as stack:
            status = stack.enter_context(_ErrorStatus())
            progress = stack.enter_context(tracking.Progress(console))
            signals = stack.enter_context(SignalHandler())
            checkpoints = _open(
                start, experiment, plan, path, data, driver, profile, stack, progress
            )
            progress.start(plan.examples_at(plan.total_steps))
            progress.show(f"{experiment.name}: compiling")
            program = Program(
                experiment,
                data,
                read_workers=options.read_workers,
                resumes=broadcast_from_main(driver, start.goes_on),
            )
            run = progress.run(f"{experiment.name}, seed {seed}", experiment.task.main_metric)
            policy = CheckpointPolicy(
                lambda: checkpoints,
                program,
                seed,
                signals,
                every_seconds=60 * options.checkpoint_minutes,
                save_phase_starts=True,
                save_best=True,
                save_last=True,
                keep_before_last_decay=True,
            )
            start_state = start.load(checkpoints, program)
            if profile is not None:
                stack.enter_context(profile)
            status.has_begun = True
            outcome = tracking.record_run(
                program,
                seed,
                path,
                source_text=source_text,
                on_evaluation=run.evaluation,
                on_examples=run.done,
                start=start_state,
                checkpoint_policy=policy,
                profile=profile,
                is_claimed=True,
            )
        print_line(f"{outcome.reason or outcome.status}; record in {path}", console)
        if outcome.rows:
            print_line(_cost_summary(program, outcome), console)
        if outcome.status == "diverged":
            sys.exit(3)


class _ErrorStatus:
    """Context manager: ends the command with 1 for an error that comes after the run has begun.

    An error of what is closed last, such as a checkpoint that could not be written, counts too.
    """

    has_begun = False

    def __enter__(self) -> "_ErrorStatus":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.has_begun and isinstance(error, ValueError | OSError | MemoryError):
            exit_with(error, 1)


@dataclass(frozen=True)
class TrainOptions:
    """The options of `jaxsched train` after the config file."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: UserPath = Path("runs/train")
    """The folder to write to: the record, and a folder of the same name with the checkpoints."""
    resume: bool = False
    """Go on with this same run from its last checkpoint."""
    start_from: UserPath | None = None
    """Start from this checkpoint of another experiment's run, such as its `before_last_decay` for a
    longer run. The two may differ in everything but the shapes of what is trained."""
    checkpoint_minutes: float = 10.0
    """The run is saved at least this often."""
    batch_size: Literal["max"] | None = None
    """Train at the largest batch size that fits in the devices' memory, with a tenth of it to
    spare, instead of at the experiment's; the learning rate is not changed."""
    read_workers: int = 0
    """The number of processes that read and decode streamed data; by default this process does it,
    in threads."""
    profile: tuple[int, int] | None = None
    """Trace the updates from the first number up to the second, for XProf and ui.perfetto.dev; the
    trace is written to a folder beside the record."""
    distributed: bool = False
    """Train one run over several processes, each started with this same command; SLURM, Kubernetes
    or the TPU pod tells each process about the others."""
    coordinator: str | None = None
    """HOST:PORT of the first process, to connect the processes by hand instead of --distributed."""
    processes: int | None = None
    """The number of processes; for use with --coordinator."""
    process_id: int | None = None
    """The number of this process, from 0, for use with --coordinator; process 0 writes the record
    and the checkpoints."""

    def __post_init__(self):
        require_minutes(self.checkpoint_minutes)
        if self.profile is not None:
            require_updates(*self.profile)
        if self.read_workers < 0:
            raise ValueError(
                f"--read-workers needs a number of at least 0, got {self.read_workers}; 0 reads in "
                "this process."
            )
        if self.coordinator is None and (self.processes, self.process_id) != (None, None):
            raise ValueError(
                "--processes and --process-id need --coordinator HOST:PORT, the same for all "
                "processes; with --distributed leave them out."
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


def _open(
    start: ResumeOptions,
    experiment: Experiment,
    plan: Plan,
    record: Path,
    data: Dataset,
    driver: Driver,
    profile: ProfiledUpdates | None,
    stack: contextlib.ExitStack,
    progress: tracking.Progress,
) -> Checkpoints | None:
    """Opens the run's checkpoints on the main process, once all processes may start.

    The main process also holds the claim on the record, until the stack is closed.
    """
    require_same("data", json.dumps(data.fingerprint))
    opened = []

    def check() -> None:
        first = start.first_step()  # refuses what is no checkpoint before a file is made
        if profile is not None:
            profile.require_within(first, plan.total_steps)
        with contextlib.ExitStack() as opening:
            opening.enter_context(tracking.claim_record(record))
            tracking.refuse_finished(record)
            said = start.check(experiment, plan, record, data)
            opened.append(opening.enter_context(Checkpoints(start.folder)))
            stack.push(opening.pop_all())
        if said:
            progress.say(said)

    broadcast_from_main(driver, check)
    return opened[0] if opened else None
