"""AlgoPerf's workloads as studies, of which each trial is a record. Imports no JAX."""

import datetime
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxsched.bench.algoperf.competition import Competition, Trial, Workload
from jaxsched.bench.study.find_records import find_records
from jaxsched.bench.study.manifest import MANIFEST_FILE, RECORDS_FOLDER, StudyManifest
from jaxsched.tracking.plain import plain_config, plain_number
from jaxsched.tracking.record_writer import RecordWriter
from jaxsched.tracking.records import Record, Run, is_complete

# The seed in a record: the trial's number after the study's, as in 203 for trial 3 of study 2.
_STUDY = 100


def write_studies(competition: Competition, folder: Path) -> list[Path]:
    """Writes a study for each workload: a manifest and a record for each trial.

    An experiment is a submission, and its seed is 100 · study + trial. What is there already is
    kept.

    Args:
        competition: the competition's trials.
        folder: where to write; each study gets a folder of its name in it.

    Returns:
        The folders of the studies, for `jaxsched report`.

    Raises:
        OSError: when a file cannot be written.
    """
    return [
        _write_study(competition, name, workload, folder / name)
        for name, workload in competition.workloads.items()
        if any(trial.workload == name for trial in competition.trials)
    ]


def read_studies(competition: Competition, folders: Iterable[Path]) -> dict[str, list[Record]]:
    """Reads the records of the studies again, by workload.

    Raises:
        ValueError: if one cannot be read, or is not the one that was written; names it.
    """
    found = {}
    for folder in folders:
        manifest = StudyManifest.read(folder / MANIFEST_FILE)
        records, cautions, _ = find_records(manifest, [folder / RECORDS_FOLDER])
        if len(records) < len(manifest.runs):
            missing = len(manifest.runs) - len(records)
            raise ValueError(f"{missing} records of {folder} are missing. {' '.join(cautions)}")
        found[manifest.name] = list(records)
    return {name: found[name] for name in competition.workloads if name in found}


def seed_of(study: int, trial: int) -> int:
    """Returns the seed that a trial's record has."""
    return _STUDY * study + trial


def study_of(record: Record) -> int:
    """Returns the number of the study that a trial's record belongs to."""
    return record.header["seed"] // _STUDY


def _write_study(competition: Competition, name: str, workload: Workload, folder: Path) -> Path:
    trials = [trial for trial in competition.trials if trial.workload == name]
    names = dict.fromkeys(trial.submission for trial in trials)
    StudyManifest(
        name=name,
        runs=tuple(_run(trial) for trial in trials),
        target=workload.target,
        further_targets=(),
        baseline="baseline" if "baseline" in names else next(iter(names)),
        published={},
        metric=workload.metric,
    ).write(folder / MANIFEST_FILE)
    for trial in trials:
        path = folder / RECORDS_FOLDER / _run(trial).file_name
        if not is_complete(path):
            _write_record(path, trial, workload, competition.source)
    return folder


def _write_record(path: Path, trial: Trial, workload: Workload, source: str) -> None:
    column = workload.metric.name
    metric = {"better": workload.metric.better, "is_share": workload.metric.is_share}
    run = _run(trial)
    header = {
        "name": run.name,
        "seed": run.seed,
        "digest": run.digest,
        "config": _config(trial),
        "source": source,
        "evaluated_on": "validation",
        "environment": {},
        "command": "",
        # Of the import: the logs do not say when a trial began.
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "study": trial.workload,
        "metrics": {column.removeprefix("validation_"): metric},
    }
    rows = [
        {"step": step, "train_seconds": seconds, column: plain_number(column, value)}
        for step, seconds, value in zip(trial.steps, trial.seconds, trial.values, strict=True)
    ]
    is_lost = bool(trial.values) and math.isnan(trial.values[-1])
    reason = f"diverged, at its end {column} is nan" if is_lost else ""
    with RecordWriter(path, header) as writer:
        writer.evaluations(rows)
        writer.end(status="diverged" if is_lost else "finished", reason=reason)


def _run(trial: Trial) -> Run:
    text = json.dumps(_config(trial), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Run(trial.submission, digest, seed_of(trial.study, trial.trial))


def _config(trial: Trial) -> Mapping[str, Any]:
    """The config of a trial: all that is known of it beside its measurements."""
    known = {"workload": trial.workload, "framework": trial.framework}
    chosen = {"hyperparameters": trial.hyperparameters} if trial.hyperparameters else {}
    return plain_config({**known, **chosen}, "config")
