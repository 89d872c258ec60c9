"""A study's runs and evaluations as CSV files, for spreadsheets and data frames."""

from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import first_at_target
from jaxsched.bench.study.target import Target
from jaxsched.bench.values import final_value
from jaxsched.tracking.evaluation_csv import evaluation_columns, write_csv
from jaxsched.tracking.records import Record

_NAMES = ("study", "experiment", "seed")
# Those of a run that every study has; the others only if a record has them.
_ALWAYS = ("status", "reason", "target", "steps_to_target", "steps", "digest", "started")


def write_runs(results: Results, path: Path) -> None:
    """Writes a row for each run that ended. A value that the record lacks is an empty cell.

    A column that no record has a value for is left out. METRIC stands for the study's metric, such
    as `test_accuracy`.

    Columns:
        study, experiment, seed: which run it is.
        status, reason: finished, stopped, diverged or failed, and the reason.
        target: the value to reach.
        steps_to_target, examples_to_target, train_seconds_to_target: the values at the first
            evaluation that reached the target; empty if the run missed it.
        final_METRIC, final_averaged_METRIC: the last evaluation's value.
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
    rows = [{**_names(results, r), **_run(r, results.target)} for r in results.records]
    recorded = {name for row in rows for name, value in row.items() if value is not None}
    always = {*_NAMES, *_ALWAYS, f"final_{results.metric.name}"}
    columns = [name for name in rows[0] if name in recorded | always]
    write_csv(path, columns, rows)


def write_evaluations(results: Results, path: Path) -> None:
    """Writes a row for each evaluation of these runs. A missing value is an empty cell.

    Columns:
        study, experiment, seed: which run it is.
        the others: the columns of the records that are numbers; those of metrics come after those
            of times and hyper-parameters.

    Args:
        results: the study's results.
        path: the file to write; an existing one is replaced.
    """
    rows = (
        {**_names(results, record), **row}
        for record in results.records
        for row in record.evaluations
    )
    write_csv(path, [*_NAMES, *evaluation_columns(results.records)], rows)


def _names(results: Results, record: Record) -> dict[str, Any]:
    names = (results.manifest.name, record.name, record.header["seed"])
    return dict(zip(_NAMES, names, strict=True))


def _run(record: Record, target: Target) -> dict[str, Any]:
    header, end = record.header, record.end or {}
    environment, memory = header.get("environment", {}), end.get("peak_memory", {})
    at_target = first_at_target(record, target) or {}
    last = record.evaluations[-1] if record.evaluations else {}
    column = target.metric.name
    return {
        "status": end.get("status"),
        "reason": end.get("reason"),
        "target": target.value,
        "steps_to_target": at_target.get("step"),
        "examples_to_target": at_target.get("examples"),
        "train_seconds_to_target": at_target.get("train_seconds"),
        f"final_{column}": final_value(record, column),
        f"final_averaged_{column}": final_value(record, f"averaged_{column}"),
        "steps": last.get("step"),
        "examples": last.get("examples"),
        "train_seconds": last.get("train_seconds"),
        "evaluation_seconds": last.get("evaluation_seconds"),
        "planned_steps": header.get("total_steps"),
        "compile_seconds": header.get("compile_seconds"),
        "images_per_second": end.get("images_per_second"),
        "process_peak_bytes": memory.get("process"),
        "device_peak_bytes": memory.get("device"),
        "device": environment.get("device"),
        "num_devices": environment.get("num_devices"),
        "processor": environment.get("processor"),
        "jax": environment.get("packages", {}).get("jax"),
        "commit": environment.get("commit"),
        "digest": header.get("digest"),
        "started": header.get("started"),
    }
