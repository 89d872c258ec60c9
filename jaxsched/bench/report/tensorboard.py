"""A study's runs as event files for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsched.bench.report.results import Results
from jaxsched.extras import require_extra
from jaxsched.output import make_folder, replacing
from jaxsched.tracking.config_entries import config_entries, differing_places
from jaxsched.tracking.loggers.events import EventFile
from jaxsched.tracking.records import Record

# TensorBoard reads any file with `tfevents` in its name. Ours has no time in it, so that a second
# export replaces the file instead of adding one.
_FILE = "events.out.tfevents.jaxsched"


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
    for record, differing in zip(results.records, _differing(results.records), strict=True):
        run = folder / results.manifest.name / record.name / f"seed{record.header['seed']}"
        make_folder(run)
        with replacing(run / _FILE) as beside:
            file = EventFile(beside, record.header)
            file.hyperparameters(differing)
            for row in record.evaluations:
                file.evaluation(row)
            file.close()


def _differing(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The entries of each run's config that are not the same in all runs."""
    configs = [dict(config_entries(record.header["config"])) for record in records]
    differing = differing_places(configs)
    return [{name: config.get(name) for name in differing} for config in configs]
