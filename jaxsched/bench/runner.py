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
from jaxsched.bench.outline import Run
from jaxsched.bench.progress import Progress
from jaxsched.bench.records import Record, RecordWriter, read_record
from jaxsched.bench.shard import WHOLE, Shard
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
from jaxsched.train.members import distinct, form


@functools.lru_cache(maxsize=2)
def load(source: Source) -> Dataset:
    """The source's data set, kept in memory while a study's experiments share it."""
    return source.load()


def planned(experiment: Experiment) -> Plan:
    """The experiment's plan on its own data."""
    return experiment.plan(len(load(experiment.data).train))


def record_path(folder: Path, experiment: Experiment, seed: int) -> Path:
    """Where a run's record lies: another experiment, if only by one number, has another file."""
    return folder / Run(experiment.name, experiment.digest(), seed).file_name


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
    experiment, writers = program.experiment, []
    header = {
        **record_header(
            experiment,
            seed,
            program.dataset,
            source_text=source_text,
            compile_seconds=program.compile_seconds,
            num_devices=len(program.driver.devices),
        ),
        "initial_layers": initial_layers(program, seed) if experiment.weight_norms else None,
        "resumed_at": start.step if start else None,
    }
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


def record_header(
    experiment: Experiment,
    seed: int,
    dataset: Dataset,
    *,
    source_text: str,
    compile_seconds: float,
    num_devices: int,
) -> dict[str, Any]:
    """The first line of a record: what was run, and with what.

    Args:
        experiment: of the run.
        seed: likewise.
        dataset: what its `data.load()` gave.
        source_text: of the config or study file.
        compile_seconds: of its program.
        num_devices: that it runs on.
    """
    return {
        "name": experiment.name,
        "seed": seed,
        "digest": experiment.digest(),
        "config": {**describe(experiment), "seed": seed},
        "source": source_text,
        "evaluated_on": dataset.evaluated_on,
        "total_steps": experiment.plan(len(dataset.train)).total_steps,
        "compile_seconds": compile_seconds,
        "environment": environment(num_devices),
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
    check: Callable[[], None] = lambda: None,
) -> None:
    """Makes every run of a study, or of a part of it, that no finished record covers yet.

    Experiments of one family share a program, compiled once. Stopped at any moment and called
    again, it goes on with the run that was cut off.

    Args:
        study: what to run.
        folder: of the records.
        source_text: of the study file.
        progress: what shows how far it is.
        shard: the part that is made here; others make the rest, in this folder or in their own.
        check: is called about once a second; what it raises ends the study.
    """

    def on_updates(step: int) -> None:
        progress.updates(step)
        check()

    def on_evaluation(row: Evaluation) -> None:
        progress.evaluation(row)
        check()

    runs = list(_runs(study, folder))
    # By examples, which do not depend on how far the others are.
    mine = shard.of(runs, [_examples(run.experiment) for run in runs])
    missing = [run for run in mine if not _is_complete(run)]
    if not missing:
        return
    progress.start(sum(planned(run.experiment).total_steps for run in missing))
    programs = _Programs([run.experiment for run in missing])
    for experiment in distinct(run.experiment for run in missing):
        runs = [run for run in missing if run.experiment == experiment]
        progress.show(f"{experiment.name}: compiling")
        program = programs.of(experiment)
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


class _Programs:
    """The programs of experiments, one a family, each kept from its first to its last experiment.

    Args:
        experiments: in the order in which they will be asked for.
    """

    def __init__(self, experiments: Sequence[Experiment]):
        self._left: dict[Any, list[Experiment]] = {}
        for experiment in distinct(experiments):
            self._left.setdefault(_family(experiment), []).append(experiment)
        self._programs: dict[Any, Program] = {}

    def of(self, experiment: Experiment) -> Program:
        """The experiment's program; each is asked for once."""
        family = _family(experiment)
        left = self._left[family]
        if family not in self._programs:
            first, *alike = left
            self._programs[family] = Program(first, load(first.data), alike=alike)
        program = self._programs[family].member(experiment)
        left.remove(experiment)
        if not left:
            del self._programs[family]
        return program


def _family(experiment: Experiment) -> Any:
    return experiment.data, form(experiment, planned(experiment))


def study_records(study: Study, folder: Path) -> list[Record]:
    """The finished records of a study, in its order; other files in the folder are left alone."""
    records = [read_record(run.path) for run in _runs(study, folder) if run.path.exists()]
    return [record for record in records if record.is_complete]
