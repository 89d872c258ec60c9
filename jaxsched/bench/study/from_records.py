"""The manifest of a study that has no study file, from what its records say. Imports no JAX.

Such are the records of `jaxsched.recorder`. The manifest is written beside them, so that the
choices are kept; it is made anew for each report, because runs are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxsched.bench.study.manifest import (
    MANIFEST_FILE,
    RECORDS_FOLDER,
    StudyManifest,
    require_value,
)
from jaxsched.bench.study.target import MedianBest
from jaxsched.bench.study.unfinished import NothingYetError
from jaxsched.experiment.diff import differences
from jaxsched.metric import Evaluate, Metric
from jaxsched.tracking.records import Record, Run, read_records


@dataclass(frozen=True)
class Choices:
    """The choices for a report that a study file would have made.

    Attributes:
        target: the value to reach; None for that of the report before, or else the median best of
            the baseline's runs, see `MedianBest`.
        metric: the column to compare by, such as `test_loss`; None for that of the report before,
            or else the records' main metric on test examples.
        baseline: the experiment to compare with; None for that of the report before, or else the
            first one that was run.
        evaluate: the weights whose value counts, see `Study`; None for those of the report before,
            or else the averages where there are some.
    """

    target: float | None = None
    metric: str | None = None
    baseline: str | None = None
    evaluate: Evaluate | None = None


def update_manifests(folders: Sequence[Path], choices: Choices) -> None:
    """Writes the manifests of studies that have no study file, into their folders.

    A folder whose manifest is that of a study file is left as it is. Folders of one study, such as
    those of several hosts, get one manifest of all runs.

    Args:
        folders: the studies' folders, each with a folder of records in it.
        choices: those that are new.

    Raises:
        FileNotFoundError: if there is neither a manifest nor a folder of records.
        ValueError: if a study file has made the choices already, or the records of a study do not
            fit together; the message says which.
    """
    groups: dict[str, dict[Path, list[Record]]] = {}
    for folder in folders:
        if not _has_study_file(folder, choices):
            records = _records(folder)
            studies = {record.header.get("study") for record in records}
            (study,) = studies if len(studies) == 1 else (None,)
            groups.setdefault(study or folder.resolve().name, {})[folder] = records
    for study, group in groups.items():
        before = [read for folder in group if (read := _before(folder)) is not None]
        records = [record for found in group.values() for record in found]
        chosen = kept_choices(choices, before[0]) if before else choices
        manifest = manifest_of_records(study, records, chosen)
        for folder in group:
            if _before(folder) != manifest:
                manifest.write(folder / MANIFEST_FILE)


def manifest_of_records(study: str, records: Sequence[Record], choices: Choices) -> StudyManifest:
    """Returns the manifest of a study that its records give.

    Raises:
        ValueError: see `update_manifests`.
    """
    records = sorted(records, key=lambda r: (r.header["started"], r.header["seed"]))
    names = list(dict.fromkeys(record.name for record in records))
    for name in names:
        _require_one_config([record for record in records if record.name == name])
    baseline = choices.baseline or names[0]
    if baseline not in names:
        raise ValueError(f"expected a baseline among the experiments {names}, got {baseline!r}.")
    metric = _metric([record for record in records if record.evaluations], choices.metric)
    if choices.target is not None:
        require_value(choices.target, metric)
    runs = [Run(record.name, record.header["digest"], record.header["seed"]) for record in records]
    return StudyManifest(
        name=study,
        runs=tuple(sorted(dict.fromkeys(runs), key=lambda run: (names.index(run.name), run.seed))),
        target=MedianBest(baseline) if choices.target is None else choices.target,
        further_targets=(),
        baseline=baseline,
        published={},
        metric=metric,
        evaluate=choices.evaluate or "averaged",
        is_from_records=True,
    )


def _has_study_file(folder: Path, choices: Choices) -> bool:
    """Whether the folder's manifest is that of a study file, which makes all choices."""
    if not (folder / MANIFEST_FILE).exists() and (folder / RECORDS_FOLDER).is_dir():
        return False
    if StudyManifest.read(folder / MANIFEST_FILE).is_from_records:
        return False
    if choices != Choices():
        raise ValueError(
            f"{folder} has its target, metric, baseline and evaluate from a study file; change "
            "them there and run `jaxsched bench` again, or leave the options out."
        )
    return True


def _before(folder: Path) -> StudyManifest | None:
    """The manifest of the report before; None if there was none."""
    path = folder / MANIFEST_FILE
    return StudyManifest.read(path) if path.exists() else None


def _records(folder: Path) -> list[Record]:
    """The records of a folder that can be read and have begun."""
    found, reasons = read_records(sorted((folder / RECORDS_FOLDER).glob("*.jsonl")))
    records = [record for record in found if record.header]
    if not records:
        said = "".join(f" {reason}" for reason in reasons)
        raise ValueError(f"expected records in {folder / RECORDS_FOLDER}, got none.{said}")
    return records


def kept_choices(choices: Choices, before: StudyManifest) -> Choices:
    """Returns the choices, with those of the report before where they are not new."""
    is_other_metric = choices.metric not in (None, before.metric.name)
    target = None if is_other_metric or isinstance(before.target, MedianBest) else before.target
    return Choices(
        target=target if choices.target is None else choices.target,
        metric=choices.metric or before.metric.name,
        baseline=choices.baseline or before.baseline,
        evaluate=choices.evaluate or before.evaluate,
    )


def _require_one_config(records: Sequence[Record]) -> None:
    """Refuses runs of one experiment that are no repetitions of each other."""
    first = records[0]
    for other in records:
        if other.header["digest"] != first.header["digest"]:
            changes = "; ".join(differences(_config(first), _config(other)))
            raise ValueError(
                f"expected runs of one config under the name {first.name}, got seed "
                f"{first.header['seed']} and seed {other.header['seed']} with different ones "
                f"({changes}); record them as different experiments, or move one of them away."
            )


def _config(record: Record) -> dict[str, object]:
    return {name: value for name, value in record.header["config"].items() if name != "seed"}


def _metric(records: Sequence[Record], column: str | None) -> Metric:
    """The metric to compare by: the one of this column, or the main one of all records."""
    if not records:
        raise NothingYetError("expected records with evaluations, got none.")
    mains = {record.main_column: record for record in records}
    if column is None and len(mains) > 1:
        one, other, *_ = mains.items()
        raise ValueError(
            f"expected records with the same main metric, got {one[0]} of {one[1].name} and "
            f"{other[0]} of {other[1].name}; choose one with --metric, or give the files of runs "
            "that belong together."
        )
    column = column or next(iter(mains))
    metric = next((m for r in records if column in r.columns and (m := r.metric(column))), None)
    if metric is None:
        columns = dict.fromkeys(found for record in records for found in record.columns)
        raise ValueError(f"expected --metric as one of {', '.join(columns)}, got {column}.")
    return metric
