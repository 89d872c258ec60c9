"""A study's runs and evaluations as CSV files, for spreadsheets and data frames."""

from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import counted, first_at_target, has_average
from jaxsched.bench.study.target import Target
from jaxsched.bench.values import final_value
from jaxsched.metric import Evaluate
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
        evaluate: which weights count if the run has an average, see `Study`.
        steps_to_target, examples_to_target, train_seconds_to_target: the values at the first
            evaluation at which what counts reached the target; empty if the run missed it.
        raw_steps_to_target, averaged_steps_to_target: the updates to the target if the raw or the
            averaged weights counted, for runs with an average.
        final_METRIC, final_averaged_METRIC: the last value of raw and averaged weights.
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
    rows = [
        {**_names(results, record), **_run(results, record, view)}
        for record, view in zip(results.records, results.counted, strict=True)
    ]
    recorded = {name for row in rows for name, value in row.items() if value is not None}
    always = {*_NAMES, *_ALWAYS, f"final_{results.metric.name}"}
    if "evaluate" in recorded:
        always |= {"raw_steps_to_target", "averaged_steps_to_target"}
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


def _run(results: Results, record: Record, view: Record) -> dict[str, Any]:
    """The row of a run, from its record and from the view of it with what counts."""
    header, end = record.header, record.end or {}
    environment, memory = header.get("environment", {}), end.get("peak_memory", {})
    target = results.target
    at_target = first_at_target(view, target) or {}
    last = record.evaluations[-1] if record.evaluations else {}
    column = target.metric.name
    return {
        "status": end.get("status"),
        "reason": end.get("reason"),
        "target": target.value,
        "evaluate": results.manifest.evaluate if has_average(record, target.metric) else None,
        "steps_to_target": at_target.get("step"),
        "examples_to_target": at_target.get("examples"),
        "train_seconds_to_target": at_target.get("train_seconds"),
        "raw_steps_to_target": _steps_with("raw", record, target),
        "averaged_steps_to_target": _steps_with("averaged", record, target),
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


def _steps_with(weights: Evaluate, record: Record, target: Target) -> int | None:
    """The updates to the target if these weights counted; None without an average."""
    if not has_average(record, target.metric):
        return None
    first = first_at_target(counted(record, target.metric, weights), target)
    return None if first is None else first["step"]
