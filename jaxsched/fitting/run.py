"""Runs the experiment of a `fit`, in memory or with a record and checkpoints."""

import contextlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxsched.data import Dataset
from jaxsched.experiment import Experiment, misfits, require_computable
from jaxsched.fitting.fitted import Fitted
from jaxsched.models import NnxModule, Variables
from jaxsched.tracking import (
    LoggedRun,
    Logger,
    claim_record,
    is_complete,
    load,
    record_path,
    record_run,
    run_header,
)
from jaxsched.train import (
    CheckpointPolicy,
    Checkpoints,
    Evaluation,
    Outcome,
    Program,
    ResumeOptions,
    SignalHandler,
    train,
)


def run(
    experiment: Experiment,
    workdir: Path | None,
    on_evaluation: Callable[[Evaluation], None],
    loggers: Sequence[Logger] = (),
) -> Fitted:
    """Trains, and returns the result; see `fit`."""
    dataset = load(experiment.task.data)
    plan = experiment.plan(len(dataset.train))
    require_computable(experiment, plan)
    for sentence in misfits(experiment, plan):
        warnings.warn(sentence, stacklevel=3)
    if workdir is None:
        program = Program(experiment, dataset)
        return _fitted(program, _logged(program, on_evaluation, loggers), None)
    return _recorded(experiment, dataset, workdir, on_evaluation, loggers)


def _logged(
    program: Program, on_evaluation: Callable[[Evaluation], None], loggers: Sequence[Logger]
) -> Outcome:
    """Trains without a record, of which loggers are told all the same."""
    experiment = program.experiment
    if not loggers:
        return train(program, experiment.seed, on_evaluation=on_evaluation)
    header = run_header(program, experiment.seed, None, source_text=_source_text(experiment))
    with LoggedRun(loggers, header) as logged:

        def log(row: Evaluation) -> None:
            logged.evaluation(row.as_json())
            on_evaluation(row)

        outcome = train(program, experiment.seed, on_evaluation=log)
        logged.end(outcome.status, outcome.reason)
    return outcome


def _recorded(
    experiment: Experiment,
    dataset: Dataset,
    workdir: Path,
    on_evaluation: Callable[[Evaluation], None],
    loggers: Sequence[Logger],
) -> Fitted:
    """Goes on with the run of the folder, from its start if there is none."""
    seed, path = experiment.seed, record_path(workdir, experiment, experiment.seed)
    start = ResumeOptions(path.with_suffix(""), resume=True)
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(SignalHandler())
        stack.enter_context(claim_record(path))
        start.check(experiment, experiment.plan(len(dataset.train)), path, dataset)
        checkpoints = stack.enter_context(Checkpoints(start.folder))
        program = Program(experiment, dataset)
        begun = start.load(checkpoints, program)
        if is_complete(path):
            # From its last state, where there is nothing left to do but to evaluate its average.
            outcome = train(program, seed, on_evaluation=on_evaluation, start=begun)
            return _fitted(program, outcome, path)
        outcome = record_run(
            program,
            seed,
            path,
            source_text=_source_text(experiment),
            on_evaluation=on_evaluation,
            on_examples=lambda examples: None,
            start=begun,
            checkpoint_policy=CheckpointPolicy(
                lambda: checkpoints, program, seed, signals, save_best=True, save_last=True
            ),
            is_claimed=True,
            loggers=loggers,
        )
        return _fitted(program, outcome, path)


def _fitted(program: Program, outcome: Outcome, record: Path | None) -> Fitted:
    task: Any = program.experiment.task
    variables: Variables = jax.device_get(outcome.state.variables)
    average = outcome.average_on_all
    module = task.model.module
    if isinstance(task.model, NnxModule):
        module = task.model.with_variables(variables)
    return Fitted(
        status=outcome.status,
        reason=outcome.reason,
        rows=outcome.rows,
        variables=variables,
        averaged=average and jax.device_get(average.variables),
        module=module,
        experiment=program.experiment,
        record=record,
        _dataset=program.dataset,
    )


def _source_text(experiment: Experiment) -> str:
    """The code of the module's class, or of the function that makes it, for the record."""
    task: Any = experiment.task
    module = task.model.module
    try:
        return inspect.getsource(module if inspect.isfunction(module) else type(module))
    except (OSError, TypeError):  # typed into an interpreter
        return ""
