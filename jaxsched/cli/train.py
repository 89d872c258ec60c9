"""`jaxsched train`: one experiment, to its end or from where it was saved."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from jaxsched import tracking
from jaxsched.cli.options import options_of
from jaxsched.cli.printing import print_plan, say
from jaxsched.experiment import Experiment, describe
from jaxsched.plan import Plan
from jaxsched.train import (
    CheckpointPolicy,
    Checkpoints,
    Outcome,
    ProfiledUpdates,
    Program,
    ResumeOptions,
    SignalHandler,
    broadcast_from_main,
    connect,
    is_main,
    largest_batch_size,
    make_driver,
    require_same,
)


@dataclass(frozen=True)
class Train:
    """Trains one experiment and writes its record.

    Any field of the experiment can be set after the config file:
    `jaxsched train configs/digits_one_cycle.py --optimizer.lr.peak 0.3 --seed 1`;
    `jaxsched train configs/digits_one_cycle.py --help` lists them.

    SIGTERM and Ctrl-C save the run and end it with 143 and 130; the same command with --resume goes
    on as if nothing had happened.
    """

    config: tyro.conf.Positional[Path]
    """A Python file that holds an Experiment under the name `experiment`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; `rest` are its options and the fields of its experiment."""
        options = options_of(self.config, rest, TrainOptions, "train")
        if options.distributed or options.coordinator is not None:
            connect(options.coordinator, options.processes, options.process_id)
        console.quiet = not is_main()
        experiment, seed = options.experiment, options.experiment.seed
        if options.batch_size == "max":
            experiment = _fitted(experiment, console)
        plan = tracking.plan_for(experiment)
        print_plan(experiment, plan, console)
        path = tracking.record_path(options.workdir, experiment, seed)
        start = ResumeOptions(path.with_suffix(""), options.resume, options.start_from)
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(tracking.Progress(console))
            signals = stack.enter_context(SignalHandler())
            checkpoints = _open(start, experiment, plan, path, stack)
            progress.start(plan.examples_at(plan.total_steps))
            progress.show(f"{experiment.name}: compiling")
            data = tracking.load(experiment.data)
            program = Program(experiment, data, read_workers=options.read_workers)
            every_seconds = 60 * options.checkpoint_minutes
            run = progress.run(f"{experiment.name}, seed {seed}")
            profile = None
            if options.profile is not None:
                profile = stack.enter_context(
                    ProfiledUpdates(path.with_suffix(".profile"), *options.profile)
                )
            outcome = tracking.record_run(
                program,
                seed,
                path,
                source_text=self.config.read_text(encoding="utf-8"),
                on_evaluation=run.evaluation,
                on_examples=run.done,
                start=start.load(checkpoints, program),
                checkpoint_policy=CheckpointPolicy(
                    lambda: checkpoints,
                    program,
                    seed,
                    signals,
                    every_seconds=every_seconds,
                    save_phase_starts=True,
                    save_best=True,
                    save_last=True,
                    keep_before_last_decay=True,
                ),
                profile=profile,
            )
        say(f"{outcome.reason or outcome.status}; record in {path}", console)
        if outcome.rows:
            say(_costs(program, outcome), console)


@dataclass(frozen=True)
class TrainOptions:
    """Trains one experiment and writes its record."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: Path = Path("runs/train")
    """The record is written in here, and the checkpoints to a folder of its name."""
    resume: bool = False
    """Go on with this very run where it was saved last."""
    start_from: Path | None = None
    """Go on from this checkpoint, of a run of another experiment that may differ in all but the
    shapes of what is trained: a longer one from its `before_last_decay`, say."""
    checkpoint_minutes: float = 10.0
    """How often the run is saved at least."""
    batch_size: Literal["max"] | None = None
    """The largest that the devices' memory has room for, with a margin of a tenth, instead of the
    experiment's; the learning rate is not changed."""
    read_workers: int = 0
    """Processes that read and decode streamed data; by default this process does, in threads."""
    profile: tuple[int, int] | None = None
    """Trace the updates from the first number up to the second, for XProf and ui.perfetto.dev,
    into a folder beside the record."""
    distributed: bool = False
    """One run over several processes, each started with this same command: which ones is found out
    from SLURM, Kubernetes or the TPU pod."""
    coordinator: str | None = None
    """Likewise, but said by hand: HOST:PORT of the first process."""
    processes: int | None = None
    """How many there are."""
    process_id: int | None = None
    """Which of them this one is, from 0. The first one writes the record and the checkpoints."""


def _costs(program: Program, outcome: Outcome) -> str:
    """What the run took, in words."""
    last, beside = outcome.rows[-1], program.compilations[1:]
    compiled = f"compiled in {program.compile_seconds:.1f} s"
    if beside:
        seconds, waited = (sum(c.seconds for c in beside), sum(c.waited_seconds for c in beside))
        compiled += f" and {seconds:.1f} s beside the run, which stood still for {waited:.1f} s"
    memory = [f"{size / 1e9:.2f} GB ({of})" for of, size in tracking.peak_memory(program).items()]
    return (
        f"{compiled}; trained in {last.train_seconds:.1f} s ({outcome.images_per_second:,.0f} "
        f"images/s), evaluated in {last.evaluation_seconds:.1f} s; peak memory {', '.join(memory)}"
    )


def _fitted(experiment: Experiment, console: Console) -> Experiment:
    """The experiment with the largest batch size that fits."""
    if len(experiment.phases) != 1:
        raise ValueError(
            f"--batch-size max needs an experiment of one phase, got {len(experiment.phases)}; "
            "leave it out, or one phase in."
        )
    program = Program(experiment, tracking.load(experiment.data))
    size = largest_batch_size(program)
    memory = program.driver.memory()
    say(f"batch size {size:,}, the largest that fits {memory / 1e9:.1f} GB a device", console)
    (phase,) = experiment.phases
    return dataclasses.replace(experiment, phases=(dataclasses.replace(phase, batch_size=size),))


def _open(
    start: ResumeOptions,
    experiment: Experiment,
    plan: Plan,
    record: Path,
    stack: contextlib.ExitStack,
) -> Checkpoints | None:
    """The run's checkpoints, on the main process, once all processes may start."""
    driver = make_driver(experiment.driver, experiment.num_devices)
    require_same("experiment", json.dumps(describe(experiment)))
    opened = []

    def check() -> None:
        tracking.refuse_finished(record)
        start.check(experiment, plan, record)
        opened.append(stack.enter_context(Checkpoints(start.folder)))

    broadcast_from_main(driver, check)
    return opened[0] if opened else None
