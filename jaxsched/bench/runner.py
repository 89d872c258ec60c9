"""Runs on record: one of an experiment, and all of a study."""

import contextlib
import datetime
import functools
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsched.bench.environment import environment, peak_memory
from jaxsched.bench.progress import Progress
from jaxsched.bench.records import Record, RecordWriter, read_record
from jaxsched.bench.study import Study
from jaxsched.data import Dataset, Source
from jaxsched.plan import Plan
from jaxsched.train import (
    Evaluation,
    Experiment,
    Outcome,
    Position,
    Profile,
    Program,
    Saving,
    describe,
    from_main,
    train,
)


@functools.lru_cache(maxsize=2)
def load(source: Source) -> Dataset:
    """The source's data set, kept in memory while a study's experiments share it."""
    return source.load()


def planned(experiment: Experiment) -> Plan:
    """The experiment's plan on its own data."""
    return experiment.plan(len(load(experiment.data).train))


def record_path(folder: Path, experiment: Experiment, seed: int) -> Path:
    """Where a run's record lies: another experiment, if only by one number, has another file."""
    return folder / f"{experiment.name}-{experiment.digest()}-seed{seed}.jsonl"


def record_run(
    program: Program,
    seed: int,
    path: Path,
    *,
    source_text: str,
    on_evaluation: Callable[[Evaluation], None],
    on_updates: Callable[[int], None],
    stop: Callable[[Sequence[Evaluation]], str] = lambda rows: "",
    start: Position | None = None,
    saving: Saving | None = None,
    profile: Profile | None = None,
) -> Outcome:
    """Trains with this seed and writes the record.

    Of several processes that train together the main one writes it; all of them call this.

    Args:
        program: the experiment, compiled.
        seed: of this run.
        path: of the record.
        source_text: of the config or study file.
        on_evaluation: takes each row once it is on disk.
        on_updates: takes the number of updates done.
        stop: see `train`.
        start: where to go on from; its rows are written first, so that the record is that of a run
            that was never interrupted.
        saving: see `train`.
        profile: see `train`.

    Raises:
        FileExistsError: when `path` holds a finished run.
        Preempted: when a signal ended the run, which is saved.
    """
    header, writers = _header(program, seed, source_text, start), []
    with contextlib.ExitStack() as stack:

        def on_main(function: Callable[[RecordWriter], None]) -> None:
            # Where the main process cannot write, the others must not go on without it.
            from_main(program.driver, lambda: function(writers[0]))

        def write(row: Evaluation) -> None:
            on_main(lambda writer: writer.evaluation(describe(row)))
            on_evaluation(row)

        def begin() -> None:
            writers.append(stack.enter_context(RecordWriter(path, header)))

        from_main(program.driver, begin)

        for row in start.rows if start else ():
            write(row)
        outcome = train(
            program,
            seed,
            on_evaluation=write,
            on_updates=on_updates,
            stop=stop,
            start=start,
            saving=saving,
            profile=profile,
        )
        end = {
            "status": outcome.status,
            "reason": outcome.reason,
            "phases": describe(outcome.plan.phases),
            "average_on_all": describe(outcome.average_on_all),
            "compilations": describe(program.compilations),
            "images_per_second": outcome.images_per_second,
            "peak_memory": peak_memory(program),
        }
        on_main(lambda writer: writer.end(**end))
    return outcome


def _header(
    program: Program, seed: int, source_text: str, start: Position | None
) -> dict[str, Any]:
    """The first line of a record: what was run, from where on, and with what."""
    experiment = program.experiment
    return {
        "name": experiment.name,
        "seed": seed,
        "digest": experiment.digest(),
        "config": {**describe(experiment), "seed": seed},
        "source": source_text,
        "evaluated_on": program.dataset.evaluated_on,
        "total_steps": program.plan.total_steps,
        "initial_layers": initial_layers(program, seed) if experiment.weight_norms else None,
        "compile_seconds": program.compile_seconds,
        "resumed_at": start.step if start else None,
        "environment": environment(len(program.driver.devices)),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def initial_layers(program: Program, seed: int) -> dict[str, float]:
    """|w|² of each layer before the first update."""
    norms = program.squared_norms(program.init(seed))
    return dict(zip(program.layer_names, norms.tolist(), strict=True))


class _Run(NamedTuple):
    experiment: Experiment
    seed: int
    path: Path


def _runs(study: Study, folder: Path) -> Iterator[_Run]:
    for experiment in study.experiments:
        for seed in study.seeds:
            yield _Run(experiment, seed, record_path(folder, experiment, seed))


def _is_complete(run: _Run) -> bool:
    return run.path.exists() and read_record(run.path).is_complete


def run_study(
    study: Study,
    folder: Path,
    *,
    source_text: str,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Makes every run of a study that no finished record covers yet.

    Stopped at any moment and called again, it goes on with the run that was cut off.

    Args:
        study: what to run.
        folder: of the records.
        source_text: of the study file.
        progress: what shows how far it is.
        check: is called about once a second; what it raises ends the study.
    """

    def on_updates(step: int) -> None:
        progress.updates(step)
        check()

    def on_evaluation(row: Evaluation) -> None:
        progress.evaluation(row)
        check()

    missing = [run for run in _runs(study, folder) if not _is_complete(run)]
    if not missing:
        return
    progress.start(sum(planned(run.experiment).total_steps for run in missing))
    for experiment in study.experiments:
        runs = [run for run in missing if run.experiment == experiment]
        if not runs:
            continue
        progress.show(f"{experiment.name}: compiling")
        program = Program(experiment, load(experiment.data))
        for run in runs:
            progress.show(f"{experiment.name}, seed {run.seed}")
            outcome = record_run(
                program,
                run.seed,
                run.path,
                source_text=source_text,
                on_evaluation=on_evaluation,
                on_updates=on_updates,
            )
            progress.end_run(program.plan.total_steps, outcome.reason)


def study_records(study: Study, folder: Path) -> list[Record]:
    """The finished records of a study, in its order; other files in the folder are left alone."""
    records = [read_record(run.path) for run in _runs(study, folder) if run.path.exists()]
    return [record for record in records if record.is_complete]
