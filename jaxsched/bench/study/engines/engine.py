"""The engines by name, and a study's runs as their tasks."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from jaxsched.bench.study.engines.task import RunTask, StudyFile
from jaxsched.bench.study.manifest import RECORDS_FOLDER
from jaxsched.bench.study.study import Study
from jaxsched.extras import require_extra
from jaxsched.tracking.recorder import record_path
from jaxsched.tracking.records import read_record

# Makes the tasks; tells the second argument what has ended.
Engine = Callable[[Sequence[RunTask], Callable[[str], None]], None]


def engine_named(name: Literal["ray", "slurm"]) -> Engine:
    """Returns an engine.

    Raises:
        ImportError: if its package is missing; the message names the extra that brings it.
    """
    if name == "ray":
        require_extra("--on ray", "ray", "ray")
        from jaxsched.bench.study.engines.on_ray import run_on_ray

        return run_on_ray
    require_extra("--on slurm", "slurm", "submitit")
    from jaxsched.bench.study.engines.on_slurm import run_on_slurm

    return run_on_slurm


def on_engine(
    engine: Engine,
    study: Study,
    file: StudyFile,
    folder: Path,
    *,
    every_seconds: float,
    log: tuple[str, ...],
    say: Callable[[str], None],
) -> None:
    """Makes the runs of a study that have no finished record, each as a task of an engine.

    Args:
        engine: makes the tasks.
        study: the study to run.
        file: the file that holds it.
        folder: the study's folder, which all nodes share.
        every_seconds: the most training time that a lost node may cost.
        log: the names of the loggers of each run.
        say: shows a line of progress.
    """
    token = folder / f".shared-{uuid.uuid4().hex}"
    tasks = [
        RunTask(
            file, folder, token.name, experiment.name, seed, experiment.num_devices or 1,
            every_seconds, log,
        )
        for experiment in study.experiments
        for seed in study.seeds
        if not _is_complete(record_path(folder / RECORDS_FOLDER, experiment, seed))
    ]  # fmt: skip
    token.touch()
    try:
        engine(tasks, say)
    finally:
        token.unlink(missing_ok=True)


def _is_complete(path: Path) -> bool:
    return path.exists() and read_record(path).is_complete
