"""A study's runs as event files for TensorBoard."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.extras import require_extra
from jaxsched.metric import bare_name
from jaxsched.output import make_folder, replacing
from jaxsched.tracking.records import Record

# TensorBoard reads any file with `tfevents` in its name. Ours has no time in it, so that a second
# export replaces the file instead of adding one.
_FILE = "events.out.tfevents.jaxsched"
# The tag of each column that is no metric's. TensorBoard groups plots by the part before the slash.
_TAGS = {
    "learning_rate": "hyperparameters/learning_rate",
    "momentum": "hyperparameters/momentum",
    "weight_decay": "hyperparameters/weight_decay",
    "batch_size": "hyperparameters/batch_size",
    "squared_norm": "weights/squared_norm",
    "examples": "time/examples",
    "epoch": "time/epoch",
    "train_seconds": "time/train_seconds",
}


def write_event_files(results: Results, folder: Path) -> None:
    """Writes each run to a folder `STUDY/EXPERIMENT/seedN`, for `tensorboard --logdir FOLDER`.

    Each evaluation is a point of every curve, at its update count. Its wall time is the run's start
    plus the seconds of training and evaluation until then, as if the run had never been resumed.
    The table of hyper-parameters has the entries of the config in which the study's runs differ,
    named by their place in it, such as `optimizer.lr.peak`.

    Args:
        results: the study's results.
        folder: where to write; it is created if it does not exist. Runs that an earlier call wrote
            are replaced.

    Raises:
        ImportError: if tensorboardX is missing; names the extra that installs it.

    Example: `jaxsched report runs/quickstart --tensorboard FOLDER`.
    """
    require_extra("Writing event files", "tensorboard", "tensorboardX")
    # Protobuf creates this class on import, where no type checker can see it.
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore
    from tensorboardX.record_writer import RecordWriter
    from tensorboardX.summary import hparams

    for record, differing in zip(results.records, _differing(results.records), strict=True):
        run = folder / results.manifest.name / record.name / f"seed{record.header['seed']}"
        make_folder(run)
        started = datetime.datetime.fromisoformat(record.header["started"]).timestamp()
        # The first of the three declares the table's columns, but only those of this run. Without
        # it TensorBoard collects the columns of all runs.
        _, entries, _ = hparams(differing, {})
        events = [
            {"wall_time": started, "file_version": "brain.Event:2"},
            {"wall_time": started, "summary": entries},
            *_points(record, started),
        ]
        with replacing(run / _FILE) as beside:
            writer = RecordWriter(str(beside))
            for event in events:
                writer.write(Event(**event).SerializeToString())
            writer.close()


def _points(record: Record, started: float) -> Iterator[dict[str, Any]]:
    """Yields an event for each evaluation."""
    tags = {**_metric_tags(record), **_TAGS}
    for row in record.evaluations:
        seconds = row.get("train_seconds", 0.0) + row.get("evaluation_seconds", 0.0)
        yield {
            "wall_time": started + seconds,
            "step": row["step"],
            "summary": {
                "value": [
                    # A loss that is not finite is text in a record, such as "inf".
                    {"tag": tag, "simple_value": float(row[column])}
                    for column, tag in tags.items()
                    if row.get(column) is not None
                ]
            },
        }


def _metric_tags(record: Record) -> dict[str, str]:
    """The tags of metrics, such as "accuracy/test_averaged" for averaged_test_accuracy."""
    return {
        column: f"{name}/{prefix}{'_averaged' if column.startswith('averaged_') else ''}"
        for column in record.columns
        for name in [bare_name(column)]
        for prefix in [column.removeprefix("averaged_").removesuffix(f"_{name}")]
    }


def _differing(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The entries of each run's config that are not the same in all runs."""
    configs = [dict(_entries(record.header["config"])) for record in records]
    names = dict.fromkeys(name for config in configs for name in config)
    differing = [name for name in names if len({repr(c.get(name)) for c in configs}) > 1]
    return [{name: config.get(name) for name in differing} for config in configs]


def _entries(config: Mapping[str, Any] | Sequence[Any], prefix: str = "") -> Iterator[Any]:
    """Yields the entries of a config with their names, such as `("phases.0.epochs", 12)`."""
    for name, value in config.items() if isinstance(config, Mapping) else enumerate(config):
        if isinstance(value, Mapping | list):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
