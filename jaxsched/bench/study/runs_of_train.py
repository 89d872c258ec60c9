"""Records of `jaxsched train` as a study: its experiments by name, told apart where configs differ.

Imports no JAX.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.bench.study.find_records import FoundRecords
from jaxsched.bench.study.from_records import Choices, kept_choices, manifest_of_records
from jaxsched.bench.study.manifest import MANIFEST_FILE, RECORDS_FOLDER, StudyManifest
from jaxsched.bench.study.unfinished import UnfinishedRun, not_counted, unfinished_runs
from jaxsched.text import text_of
from jaxsched.tracking.config_entries import config_entries, differing_places
from jaxsched.tracking.records import Record, read_record, read_records

# Where the report of a folder of records is written, so that it lies beside no record.
REPORT_FOLDER = "report"
# Configs that differ in more are told apart by their digests.
_MOST_DIFFERENCES = 3


@dataclass(frozen=True)
class RunsOfTrain:
    """Records that make a study of their own.

    Attributes:
        folder: the folder of all of them, after which the study is named.
        paths: their files.
        records: those that have begun, their names such that each is that of one config.
        cautions: those about files that are left out, and about names.
    """

    folder: Path
    paths: tuple[Path, ...]
    records: tuple[Record, ...]
    cautions: tuple[str, ...]

    @property
    def name(self) -> str:
        """The study's name."""
        return text_of(self.folder.resolve().name or "runs")

    @functools.cached_property
    def unfinished(self) -> tuple[UnfinishedRun, ...]:
        """Those of the runs that have not ended."""
        return tuple(unfinished_runs(self.paths))

    def study(self, choices: Choices, output: Path) -> tuple[StudyManifest, FoundRecords]:
        """Returns the manifest and the records, and writes the manifest to the output folder.

        Args:
            choices: those that are new; others are those of the report before.
            output: the folder of the report.

        Raises:
            ValueError: if the folder has the report of a study file, or the records do not fit
                together; the message says which.
        """
        path = output / MANIFEST_FILE
        before = StudyManifest.read(path) if path.exists() else None
        if before is not None and not before.is_from_records:
            raise ValueError(
                f"{output} has the report of the study {before.name}, which would be overwritten; "
                "name another --output."
            )
        if before is not None:
            choices = kept_choices(choices, before)
        manifest = manifest_of_records(self.name, self.records, choices)
        if manifest != before:
            manifest.write(path)
        cautions = (*self.cautions, *not_counted(self.unfinished))
        return manifest, FoundRecords(self.records, cautions, self.unfinished)


def holds_runs(path: Path) -> bool:
    """Returns whether a path is a record, or a folder of `train` with records right in it."""
    if path.suffix == ".jsonl":
        return True
    return any(path.glob("*.jsonl")) and not (path / RECORDS_FOLDER).is_dir()


def runs_of_train(paths: Sequence[Path]) -> list[RunsOfTrain]:
    """Reads records as studies: one for each folder, and one for all files that are given.

    Args:
        paths: those for which `holds_runs` is true.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file that is given is no record, or there is no record that has begun.
    """
    files = tuple(path for path in paths if path.suffix == ".jsonl")
    groups = [(path, tuple(sorted(path.glob("*.jsonl")))) for path in paths if path not in files]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"expected a record, got {file}, which does not exist.")
        read_record(file)  # one that is asked for is not left out
    if files:
        folder = Path(os.path.commonpath([file.resolve().parent for file in files]))
        groups.append((folder.parent if folder.name == RECORDS_FOLDER else folder, files))
    return [_read(folder, found) for folder, found in groups]


def _read(folder: Path, paths: tuple[Path, ...]) -> RunsOfTrain:
    found, unreadable = read_records(paths)
    begun = [record for record in found if record.header]
    records, names = told_apart(sorted(begun, key=lambda record: record.header["started"]))
    cautions = [f"A record is left out: {reason}" for reason in unreadable]
    if not records:
        said = "".join(f" {caution}" for caution in cautions)
        raise ValueError(f"expected records of runs that have begun in {folder}, got none.{said}")
    return RunsOfTrain(folder, paths, tuple(records), (*cautions, *names))


def told_apart(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Gives each config a name of its own, where several have the same one.

    It is the experiment's name with what differs, such as "digits peak 0.3", or with the digest.

    Returns:
        The records, in the same order, and a sentence for each name that several configs had.

    Example:
        >>> from jaxsched.bench.study.runs_of_train import told_apart
        >>> from jaxsched.tracking import Record
        >>> def run(peak, seed):
        ...     config = {"optimizer": {"lr": {"peak": peak}}, "seed": seed}
        ...     header = {"name": "digits", "seed": seed, "digest": f"{peak}", "config": config}
        ...     return Record(header, (), None)
        >>> found, sentences = told_apart([run(0.1, 0), run(0.3, 0), run(0.3, 1)])
        >>> [record.name for record in found], len(sentences)
        (['digits peak 0.1', 'digits peak 0.3', 'digits peak 0.3'], 1)
    """
    labels: dict[tuple[str, str], str] = {}
    sentences = []
    for name in dict.fromkeys(record.name for record in records):
        configs = {r.header["digest"]: r.header["config"] for r in records if r.name == name}
        if len(configs) > 1:
            own = _labels(name, configs)
            labels |= {(name, digest): label for digest, label in own.items()}
            sentences.append(
                f"{len(configs)} different configs have the name {name}; here they are called "
                f"{', '.join(own.values())}."
            )
    named = [labels.get((r.name, r.header["digest"]), r.name) for r in records]
    return [_renamed(r, name) for r, name in zip(records, named, strict=True)], sentences


def _labels(name: str, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The names of configs, by digest."""
    entries = {
        digest: {k: v for k, v in config_entries(config) if k != "seed"}
        for digest, config in configs.items()
    }
    differing = differing_places(list(entries.values()))
    if 0 < len(differing) <= _MOST_DIFFERENCES:
        words = {key: _shortest(key, differing) for key in differing}
        labels = {
            digest: " ".join(
                [name, *(f"{words[key]} {text_of(found.get(key))}" for key in differing)]
            )
            for digest, found in entries.items()
        }
        if len(set(labels.values())) == len(labels) and max(map(len, labels.values())) <= 80:
            return labels
    return {digest: f"{name} {digest}" for digest in configs}


def _shortest(key: str, keys: Sequence[str]) -> str:
    """The end of a dotted key that is that of no other key."""
    parts = key.split(".")
    ends = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next(end for end in ends if sum(f".{k}".endswith(f".{end}") for k in keys) == 1)


def _renamed(record: Record, name: str) -> Record:
    return dataclasses.replace(record, header={**record.header, "name": name})
