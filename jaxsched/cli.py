"""The `jaxsched` command: thin, its help made from the docstrings of what it calls."""

import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from jaxsched import bench
from jaxsched.clock import TimeFunction
from jaxsched.plan import Plan, Segment
from jaxsched.train import (
    Checkpoints,
    Experiment,
    Outcome,
    Preempted,
    Preview,
    Profile,
    Program,
    Saving,
    Signals,
    Start,
    connect,
    describe,
    from_main,
    is_main,
    keep_compiled,
    largest_batch_size,
    make_driver,
    require_same,
    split_cpu,
)
from jaxsched.train.config_file import load_value


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


@dataclass(frozen=True)
class Bench:
    """Runs every experiment of a study with every seed, and reports steps to the target.

    Runs that a finished record covers are not made again: after an interrupt, the same command
    goes on.
    """

    study: tyro.conf.Positional[Path]
    """A Python file that holds a Study under the name `study`."""
    workdir: Path = Path("runs")
    """Records, table and pictures are written to a folder of the study's name in here."""


@dataclass(frozen=True)
class Plot:
    """Draws learning rate, momentum, weight decay, batch size and noise scale of experiments.

    Over the whole run, before anything is trained: as text here, and as a picture.
    """

    configs: tyro.conf.Positional[tuple[Path, ...]]
    """Python files that hold an Experiment each under the name `experiment`."""
    output: Path = Path("schedules.png")
    """The picture."""


@dataclass(frozen=True)
class Diagnose:
    """Says whether the weight norm bounces, and so whether a complex schedule is worth it.

    A run at the experiment's highest learning rate that ends as soon as the answer is known. Any
    field of the experiment can be set after the config file.
    """

    config: tyro.conf.Positional[Path]
    """A Python file that holds an Experiment under the name `experiment`."""


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


@dataclass(frozen=True)
class DiagnoseOptions:
    """Says whether the weight norm bounces, and so whether a complex schedule is worth it."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: Path = Path("runs/diagnose")
    """The record and the picture are written in here."""
    epochs: float | None = None
    """How long to look at most; by default as long as the experiment trains."""


Options = TypeVar("Options", TrainOptions, DiagnoseOptions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; ends with 0, with 2 on bad input, with 128 + its number on a signal."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # What follows a config file are fields of its experiment, unknown before it is read.
    own = 2 if arguments[:1] in (["train"], ["diagnose"]) else len(arguments)
    command = tyro.cli(Train | Bench | Plot | Diagnose, args=arguments[:own], prog="jaxsched")
    console = Console()
    split_cpu()
    keep_compiled()
    try:
        if isinstance(command, Train):
            _train(command.config, arguments[own:], console)
        elif isinstance(command, Diagnose):
            _diagnose(command.config, arguments[own:], console)
        elif isinstance(command, Bench):
            _bench(command, console)
        else:
            _plot(command, console)
    except KeyboardInterrupt:
        print("interrupted; what had finished is kept, the same command goes on from there")
        sys.exit(130)
    except Preempted as stop:
        print(f"{stop}; the same command with --resume goes on from there")
        sys.exit(128 + stop.number)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _train(config: Path, overrides: Sequence[str], console: Console) -> None:
    options = _options(config, overrides, TrainOptions, "train")
    if options.distributed or options.coordinator is not None:
        connect(options.coordinator, options.processes, options.process_id)
    console.quiet = not is_main()
    experiment, seed = options.experiment, options.experiment.seed
    if options.batch_size == "max":
        experiment = _fitted(experiment, console)
    plan = bench.planned(experiment)
    _print_plan(experiment, plan, console)
    path = bench.record_path(options.workdir, experiment, seed)
    start = Start(path.with_suffix(""), options.resume, options.start_from)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(bench.Progress(console))
        signals = stack.enter_context(Signals())
        checkpoints = _open(start, experiment, plan, path, stack)
        progress.start(plan.total_steps)
        progress.show(f"{experiment.name}: compiling")
        data = bench.load(experiment.data)
        program = Program(experiment, data, read_workers=options.read_workers)
        every_seconds = 60 * options.checkpoint_minutes
        progress.show(f"{experiment.name}, seed {seed}")
        profile = None
        if options.profile is not None:
            profile = stack.enter_context(Profile(path.with_suffix(".profile"), *options.profile))
        outcome = bench.record_run(
            program,
            seed,
            path,
            source_text=config.read_text(encoding="utf-8"),
            on_evaluation=progress.evaluation,
            on_updates=progress.updates,
            start=start.position(checkpoints, program),
            saving=Saving(checkpoints, program, seed, signals, every_seconds=every_seconds),
            profile=profile,
        )
    _say(f"{outcome.reason or outcome.status}; record in {path}", console)
    if outcome.rows:
        _say(_costs(program, outcome), console)


def _costs(program: Program, outcome: Outcome) -> str:
    """What the run took, in words."""
    last, beside = outcome.rows[-1], program.compilations[1:]
    compiled = f"compiled in {program.compile_seconds:.1f} s"
    if beside:
        seconds, waited = (sum(c.seconds for c in beside), sum(c.waited_seconds for c in beside))
        compiled += f" and {seconds:.1f} s beside the run, which stood still for {waited:.1f} s"
    memory = [f"{size / 1e9:.2f} GB ({of})" for of, size in bench.peak_memory(program).items()]
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
    program = Program(experiment, bench.load(experiment.data))
    size = largest_batch_size(program)
    memory = program.driver.memory()
    _say(f"batch size {size:,}, the largest that fits {memory / 1e9:.1f} GB a device", console)
    (phase,) = experiment.phases
    return dataclasses.replace(experiment, phases=(dataclasses.replace(phase, batch_size=size),))


def _open(
    start: Start, experiment: Experiment, plan: Plan, record: Path, stack: contextlib.ExitStack
) -> Checkpoints | None:
    """The run's checkpoints, on the main process, once all processes may start."""
    driver = make_driver(experiment.driver, experiment.num_devices)
    require_same(driver, "experiment", json.dumps(describe(experiment)))
    opened = []

    def check() -> None:
        bench.refuse_finished(record)
        start.check(experiment, plan, record)
        opened.append(stack.enter_context(Checkpoints(start.folder)))

    from_main(driver, check)
    return opened[0] if opened else None


def _say(text: str, console: Console) -> None:
    """Prints a line as it is, however long, where the console is not quiet."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _diagnose(config: Path, overrides: Sequence[str], console: Console) -> None:
    options = _options(config, overrides, DiagnoseOptions, "diagnose")
    plan = bench.planned(options.experiment)
    experiment = bench.diagnosed(options.experiment, plan, options.epochs)
    _print_plan(experiment, bench.planned(experiment), console)
    with bench.Progress(console) as progress:
        diagnosis = bench.diagnose(
            experiment,
            options.workdir,
            source_text=config.read_text(encoding="utf-8"),
            progress=progress,
        )
    print(diagnosis.text)
    print(f"picture in {diagnosis.picture}, record in {diagnosis.record}")


def _options(config: Path, overrides: Sequence[str], kind: type[Options], command: str) -> Options:
    """The options after a config file, which are also the fields of its experiment."""
    return tyro.cli(
        kind,
        default=kind(load_value(config, "experiment", Experiment)),
        args=overrides,
        prog=f"jaxsched {command} {config}",
        config=(tyro.conf.AvoidSubcommands,),
    )


def _bench(command: Bench, console: Console) -> None:
    study = load_value(command.study, "study", bench.Study)
    folder = command.workdir / study.name
    records_folder = folder / "records"
    source_text = command.study.read_text(encoding="utf-8")
    try:
        with bench.Progress(console) as progress, Signals() as signals:
            bench.run_study(
                study,
                records_folder,
                source_text=source_text,
                progress=progress,
                check=lambda: _end_if_told(signals),
            )
    finally:
        if records := bench.study_records(study, records_folder):
            console.print(bench.write_report(study, records, folder))
            print(f"table, pictures and records in {folder}")


def _end_if_told(signals: Signals) -> None:
    """Ends the command for a signal that has come.

    Raised by a signal handler, a KeyboardInterrupt may come within a callback of Python's garbage
    collector, which swallows it.
    """
    if signals.received == signal.SIGTERM:
        sys.exit(128 + signal.SIGTERM)
    if signals.received is not None:
        raise KeyboardInterrupt


def _plot(command: Plot, console: Console) -> None:
    if not command.configs:
        raise ValueError("plot needs at least one config file, got none.")
    previews = {}
    for config in command.configs:
        experiment = load_value(config, "experiment", Experiment)
        plan = bench.planned(experiment)
        _print_plan(experiment, plan, console)
        # Files may share an experiment's name; the name of the file tells them apart then.
        name = config.stem if experiment.name in previews else experiment.name
        previews[name] = Preview.of(experiment, plan)
    print(bench.text_schedules(previews, colour=console.is_terminal))
    bench.draw_schedules(previews, command.output)
    print(f"picture in {command.output}")


def _print_plan(experiment: Experiment, plan: Plan, console: Console) -> None:
    """Shows the plan as it will run: phases in updates, schedules in epochs, what has a memory."""
    table = Table(title=f"{experiment.name}: {plan.total_steps:,} updates")
    schedules = experiment.optimizer.schedules()
    rate = schedules.get("lr", schedules.get("learning_rate"))
    columns = ("phase", "epochs", "batch size", "updates", "first update", "learning rate")
    for column in columns:
        table.add_column(column, justify="right")
    for number, segment in enumerate(plan.segments, start=1):
        updates = segment.end_step - segment.start_step
        epochs = updates * segment.batch_size / plan.num_examples
        counts = (segment.batch_size, updates, segment.start_step)
        ends = "" if rate is None else _from_to(plan.schedule(rate), segment)
        table.add_row(str(number), f"{epochs:.5g}", *(f"{count:,}" for count in counts), ends)
    console.print(table)
    for name, schedule in schedules.items():
        _say(f"{name} = {plan.resolve(schedule)}", console)
    for name, memory in experiment.optimizer.memories().items():
        _say(f"{name} = {memory}", console)
    if experiment.batch_growth is not None:
        _say(f"batch_growth = {experiment.batch_growth}: phases follow on the way", console)


def _from_to(values: TimeFunction, segment: Segment) -> str:
    """A schedule's first and last value in a phase, or the one that both are."""
    first, last = (
        f"{float(values(step)):.4g}" for step in (segment.start_step, segment.end_step - 1)
    )
    return first if first == last else f"{first} → {last}"


if __name__ == "__main__":
    main()
