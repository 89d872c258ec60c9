"""A study's runs and their evaluations as flat CSV, for others' spreadsheets and data frames."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import first_at_target
from jaxsched.tracking.records import Record

_NAMES = ("study", "experiment", "seed")
_RUN = (
    "status", "reason", "target", "steps_to_target", "examples_to_target",
    "train_seconds_to_target", "final_test_accuracy", "final_averaged_test_accuracy", "steps",
    "examples", "train_seconds", "evaluation_seconds", "planned_steps", "compile_seconds",
    "images_per_second", "process_peak_bytes", "device_peak_bytes", "device", "num_devices",
    "processor", "jax", "commit", "digest", "started",
)  # fmt: skip
_EVALUATION = (
    "step", "examples", "epoch", "train_seconds", "evaluation_seconds", "batch_size",
    "learning_rate", "momentum", "weight_decay", "train_loss", "train_accuracy", "test_loss",
    "test_accuracy", "averaged_test_loss", "averaged_test_accuracy", "squared_norm",
)  # fmt: skip


def write_runs(results: Results, path: Path) -> None:
    """One row a run that came to its end or died; what its record does not say is empty.

    Columns:
        study, experiment, seed: whose run it is.
        status, reason: finished, stopped, diverged or failed, and why.
        target: test accuracy to reach, a share.
        steps_to_target, examples_to_target, train_seconds_to_target: at the first evaluation there;
            empty where the run missed it.
        final_test_accuracy, final_averaged_test_accuracy: of the last evaluation, shares.
        steps, examples, train_seconds, evaluation_seconds: at the last evaluation.
        planned_steps: other than `steps` where the run diverged or its batch grew on the way.
        compile_seconds: before the run, of a program that several runs may share.
        images_per_second: while it trained.
        process_peak_bytes, device_peak_bytes: the most memory in use at a time.
        device, num_devices, processor, jax, commit: what it ran on and with.
        digest: of the experiment.
        started: in UTC.

    Args:
        results: of a study.
        path: the file; one that is there is written anew.
    """
    rows = ({**_names(results, r), **_run(r, results.target.accuracy)} for r in results.records)
    _write(path, (*_NAMES, *_RUN), rows)


def write_evaluations(results: Results, path: Path) -> None:
    """One row an evaluation of those runs; what its record does not say is empty.

    Columns:
        study, experiment, seed: whose run it is.
        the others: the fields of `jaxsched.train.Evaluation` that are numbers.

    Args:
        results: of a study.
        path: the file; one that is there is written anew.
    """
    rows = (
        {**_names(results, record), **{column: row.get(column) for column in _EVALUATION}}
        for record in results.records
        for row in record.evaluations
    )
    _write(path, (*_NAMES, *_EVALUATION), rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _names(results: Results, record: Record) -> dict[str, Any]:
    names = (results.manifest.name, record.name, record.header["seed"])
    return dict(zip(_NAMES, names, strict=True))


def _run(record: Record, target: float) -> dict[str, Any]:
    header, end = record.header, record.end or {}
    made_with, memory = header.get("environment", {}), end.get("peak_memory", {})
    hit = first_at_target(record, target) or {}
    last = record.evaluations[-1] if record.evaluations else {}
    known = {
        "target": target,
        "final_test_accuracy": last.get("test_accuracy"),
        "final_averaged_test_accuracy": last.get("averaged_test_accuracy"),
        "steps_to_target": hit.get("step"),
        "examples_to_target": hit.get("examples"),
        "train_seconds_to_target": hit.get("train_seconds"),
        "steps": last.get("step"),
        "planned_steps": header.get("total_steps"),
        "process_peak_bytes": memory.get("process"),
        "device_peak_bytes": memory.get("device"),
        "jax": made_with.get("packages", {}).get("jax"),
    }
    # The other columns are called as in the record.
    called_so = {**header, **made_with, **last, **end, **known}
    return {column: called_so.get(column) for column in _RUN}
