"""A study's runs as TensorBoard's event files."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.extras import require_extra
from jaxsched.tracking.records import Record

# TensorBoard takes any name that has `tfevents` in it; one without a time is written over.
_FILE = "events.out.tfevents.jaxsched"
# By the fields of `Evaluation`; what stands before the slash is one group of plots.
_TAGS = {
    "test_accuracy": "accuracy/test",
    "averaged_test_accuracy": "accuracy/test_averaged",
    "train_accuracy": "accuracy/train",
    "test_loss": "loss/test",
    "averaged_test_loss": "loss/test_averaged",
    "train_loss": "loss/train",
    "learning_rate": "hyperparameters/learning_rate",
    "momentum": "hyperparameters/momentum",
    "weight_decay": "hyperparameters/weight_decay",
    "batch_size": "hyperparameters/batch_size",
    "squared_norm": "weights/squared_norm",
    "examples": "clocks/examples",
    "epoch": "clocks/epoch",
    "train_seconds": "clocks/train_seconds",
}


def write_event_files(results: Results, folder: Path) -> None:
    """Writes `STUDY/EXPERIMENT/seedN`, a run each for `tensorboard --logdir FOLDER`.

    Each evaluation is a point of every curve, at the updates made; its wall time is that of the
    run's start and the seconds of training and evaluation since, as if it had never been resumed.
    For the table of hyper-parameters a run has those entries of its config in which the study's
    runs differ, by their place in it, such as `optimizer.lr.peak`.

    Args:
        results: of a study.
        folder: where to write; it is made. Runs that an earlier call wrote are written anew.

    Raises:
        ImportError: when tensorboardX is missing; names the extra that installs it.

    Example: `jaxsched report runs/quickstart --tensorboard FOLDER`.
    """
    require_extra("Writing event files", "tensorboard", "tensorboardX")
    # Protobuf makes this class when it is imported, so that no type checker sees it.
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore
    from tensorboardX.record_writer import RecordWriter
    from tensorboardX.summary import hparams

    for record, differing in zip(results.records, _differing(results.records), strict=True):
        run = folder / results.manifest.name / record.name / f"seed{record.header['seed']}"
        run.mkdir(parents=True, exist_ok=True)
        started = datetime.datetime.fromisoformat(record.header["started"]).timestamp()
        # Without the first of the three TensorBoard looks for columns in all of the runs.
        _, entries, _ = hparams(differing, {})
        events = [
            {"wall_time": started, "file_version": "brain.Event:2"},
            {"wall_time": started, "summary": entries},
            *_points(record, started),
        ]
        writer = RecordWriter(str(run / _FILE))
        for event in events:
            writer.write(Event(**event).SerializeToString())
        writer.close()


def _points(record: Record, started: float) -> Iterator[dict[str, Any]]:
    """An event an evaluation."""
    for row in record.evaluations:
        yield {
            "wall_time": started + row["train_seconds"] + row["evaluation_seconds"],
            "step": row["step"],
            "summary": {
                "value": [
                    # A loss that is not finite is text in a record.
                    {"tag": tag, "simple_value": float(row[column])}
                    for column, tag in _TAGS.items()
                    if row.get(column) is not None
                ]
            },
        }


def _differing(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Of each run's config what is not the same in all of them."""
    configs = [dict(_entries(record.header["config"])) for record in records]
    names = dict.fromkeys(name for config in configs for name in config)
    differing = [name for name in names if len({repr(c.get(name)) for c in configs}) > 1]
    return [{name: config.get(name) for name in differing} for config in configs]


def _entries(config: Mapping[str, Any] | Sequence[Any], prefix: str = "") -> Iterator[Any]:
    """The entries of a config by their names: `("phases.0.epochs", 12)`."""
    for name, value in config.items() if isinstance(config, Mapping) else enumerate(config):
        if isinstance(value, Mapping | list):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
