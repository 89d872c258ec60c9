"""Runs an experiment and writes its record."""

import contextlib
import datetime
import functools
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxsched.data import Dataset, Source
from jaxsched.experiment import Experiment, describe, misfits
from jaxsched.plan import Plan
from jaxsched.tracking.devices import environment, peak_memory
from jaxsched.tracking.loggers.logged_run import LoggedRun
from jaxsched.tracking.loggers.logger import Logger
from jaxsched.tracking.record_writer import RecordWriter
from jaxsched.tracking.records import Run
from jaxsched.train import (
    CheckpointPolicy,
    Evaluation,
    Outcome,
    ProfiledUpdates,
    Program,
    RunState,
    broadcast_from_main,
    is_main,
    train,
)
from jaxsched.train.same_data import DATA_KEY


@functools.lru_cache(maxsize=2)
def load(source: Source) -> Dataset:
    """Loads a source's data set; the last two are kept, because experiments often share them."""
    return source.load()


def plan_for(experiment: Experiment) -> Plan:
    """Returns the experiment's plan for its own data."""
    return experiment.plan(len(load(experiment.task.data).train))


def record_path(folder: Path, experiment: Experiment, seed: int) -> Path:
    """Returns the path of a run's record, which is another one for any other experiment or seed."""
    return folder / Run(experiment.name, experiment.digest(), seed).file_name


def record_run(
    program: Program,
    seed: int,
    path: Path,
    *,
    source_text: str,
    on_evaluation: Callable[[Evaluation], None],
    on_examples: Callable[[int], None],
    stop: Callable[[Sequence[Evaluation]], str] = lambda rows: "",
    start: RunState | None = None,
    checkpoint_policy: CheckpointPolicy | None = None,
    profile: ProfiledUpdates | None = None,
    at_once: int = 1,
    is_claimed: bool = False,
    loggers: Sequence[Logger] = (),
    warn: Callable[[str], None] | None = None,
) -> Outcome:
    """Trains with this seed and writes the record.

    When several processes train one run, all of them call this and the main one writes the record.

    Args:
        program: the compiled experiment.
        seed: the run's seed.
        path: the path of the record.
        source_text: the text of the config or study file.
        on_evaluation: called with each row once it is on disk.
        on_examples: called with the number of examples trained on so far.
        stop: see `train`.
        start: the state to continue from. Its rows are written first, so that the record is that of
            a run that was never interrupted.
        checkpoint_policy: see `train`.
        profile: see `train`.
        at_once: how many runs this process makes at the same time; more than one are noted in the
            record, because they share the machine.
        is_claimed: whether the caller holds the claim on the record, see `claim_record`.
        loggers: are told about the run, on the main process.
        warn: is called with a sentence about a logger that failed, which never ends the run; by
            default Python's `logging` prints it.

    Raises:
        BlockingIOError: when another process writes the record.
        FileExistsError: when `path` holds a finished run.
        Preempted: when a signal ended the run, after it was saved.
    """
    writers: list[RecordWriter] = []  # one on the main process, none on the others
    header = run_header(program, seed, start, source_text=source_text)
    if at_once > 1:
        header["at_once"] = {"way": "devices", "size": at_once}
    with contextlib.ExitStack() as stack:

        def on_main(function: Callable[[RecordWriter], None]) -> None:
            # When the main process cannot write, the others must not continue without it.
            broadcast_from_main(program.driver, lambda: function(writers[0]))

        def write(row: Evaluation) -> None:
            line = row.as_json()
            on_main(lambda writer: writer.evaluation(line))
            logged.evaluation(line)
            on_evaluation(row)

        def begin() -> None:
            writer = RecordWriter(path, header, is_claimed=is_claimed)
            writers.append(stack.enter_context(writer))

        broadcast_from_main(program.driver, begin)
        logged = stack.enter_context(LoggedRun(loggers if is_main() else (), header, warn))
        for row in start.rows if start else ():
            write(row)
        outcome = train(
            program,
            seed,
            on_evaluation=write,
            on_examples=on_examples,
            stop=stop,
            start=start,
            checkpoint_policy=checkpoint_policy,
            profile=profile,
        )
        end = _end(program, outcome)
        on_main(lambda writer: writer.end(**end))
        logged.end(outcome.status, outcome.reason)
    return outcome


def run_header(
    program: Program, seed: int, start: RunState | None, *, source_text: str
) -> dict[str, Any]:
    """Returns the first line of the record of a run that this process makes or goes on with."""
    experiment = program.experiment
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
    taken = start.pretrained if start else program.pretrained and program.pretrained.origin
    return header if taken is None else {**header, "pretrained": taken}


def _end(program: Program, outcome: Outcome) -> dict[str, Any]:
    """The last line of a run's record."""
    average = outcome.average_on_all
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "phases": describe(outcome.plan.phases),
        "average_on_all": average and describe(average.as_json()),
        "compilations": describe(program.compilations),
        # The key that records have, whatever the examples are.
        "images_per_second": outcome.examples_per_second,
        "peak_memory": peak_memory(program),
    }


def record_header(
    experiment: Experiment,
    seed: int,
    dataset: Dataset,
    *,
    source_text: str,
    compile_seconds: float | None,
    num_devices: int | None,
) -> dict[str, Any]:
    """Returns the first line of a record: what was run, and in which environment.

    Args:
        experiment: the run's experiment.
        seed: the run's seed.
        dataset: the experiment's data set, as its source's `load` returned it.
        source_text: the text of the config or study file.
        compile_seconds: the `compile_seconds` of its program; None when it could not be compiled.
        num_devices: the number of devices it runs on; None for all devices of this process.
    """
    plan = experiment.plan(len(dataset.train))
    return {
        "name": experiment.name,
        "seed": seed,
        "digest": experiment.digest(),
        "config": {**describe(experiment), "seed": seed},
        DATA_KEY: dataset.fingerprint,
        "source": source_text,
        "evaluated_on": dataset.evaluated_on,
        "metrics": {
            metric.name: {"better": metric.better, "is_share": metric.is_share}
            for metric in experiment.task.metrics
        },
        "main_metric": experiment.task.main_metric.name,
        "total_steps": plan.total_steps,
        "misfits": list(misfits(experiment, plan)),
        "compile_seconds": compile_seconds,
        "environment": environment(num_devices),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def initial_layers(program: Program, seed: int) -> dict[str, float]:
    """Returns |w|² of each layer before the first update, as JSON."""
    norms = program.squared_norms(program.init(seed))
    return describe(dict(zip(program.layer_names, norms.tolist(), strict=True)))
