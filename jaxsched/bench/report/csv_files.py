"""A study's runs and evaluations as CSV files, for spreadsheets and data frames."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import first_at_target
from jaxsched.output import replacing
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
    """Writes a row for each run that ended. A value that the record lacks is an empty cell.

    Columns:
        study, experiment, seed: which run it is.
        status, reason: finished, stopped, diverged or failed, and the reason.
        target: the test accuracy to reach, a share.
        steps_to_target, examples_to_target, train_seconds_to_target: the values at the first
            evaluation that reached the target; empty if the run missed it.
        final_test_accuracy, final_averaged_test_accuracy: the last evaluation's accuracy, shares.
        steps, examples, train_seconds, evaluation_seconds: the values at the last evaluation.
        planned_steps: the updates planned; not equal to `steps` if the run diverged or its batch
            size grew during the run.
        compile_seconds: the time to compile the program, which several runs may share.
        images_per_second: the throughput during training.
        process_peak_bytes, device_peak_bytes: the largest memory use of host and device.
        device, num_devices, processor, jax, commit: the hardware and the versions.
        digest: the experiment's digest.
        started: when the run started, in UTC.

    Args:
        results: the study's results.
        path: the file to write; an existing one is replaced.
    """
    rows = ({**_names(results, r), **_run(r, results.target.accuracy)} for r in results.records)
    _write(path, (*_NAMES, *_RUN), rows)


def write_evaluations(results: Results, path: Path) -> None:
    """Writes a row for each evaluation of these runs. A missing value is an empty cell.

    Columns:
        study, experiment, seed: which run it is.
        the others: the fields of `jaxsched.train.Evaluation` that are numbers.

    Args:
        results: the study's results.
        path: the file to write; an existing one is replaced.
    """
    rows = (
        {**_names(results, record), **{column: row.get(column) for column in _EVALUATION}}
        for record in results.records
        for row in record.evaluations
    )
    _write(path, (*_NAMES, *_EVALUATION), rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({column: _cell(value) for column, value in row.items()})


def _cell(value: Any) -> Any:
    """The value, so marked that no spreadsheet takes a text of others for a formula."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value


def _names(results: Results, record: Record) -> dict[str, Any]:
    names = (results.manifest.name, record.name, record.header["seed"])
    return dict(zip(_NAMES, names, strict=True))


def _run(record: Record, target: float) -> dict[str, Any]:
    header, end = record.header, record.end or {}
    environment, memory = header.get("environment", {}), end.get("peak_memory", {})
    at_target = first_at_target(record, target) or {}
    last = record.evaluations[-1] if record.evaluations else {}
    renamed = {
        "target": target,
        "final_test_accuracy": last.get("test_accuracy"),
        "final_averaged_test_accuracy": last.get("averaged_test_accuracy"),
        "steps_to_target": at_target.get("step"),
        "examples_to_target": at_target.get("examples"),
        "train_seconds_to_target": at_target.get("train_seconds"),
        "steps": last.get("step"),
        "planned_steps": header.get("total_steps"),
        "process_peak_bytes": memory.get("process"),
        "device_peak_bytes": memory.get("device"),
        "jax": environment.get("packages", {}).get("jax"),
    }
    # The other columns have the same name in the record.
    values = {**header, **environment, **last, **end, **renamed}
    return {column: values.get(column) for column in _RUN}
