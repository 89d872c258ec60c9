"""All that is said of a study, from its outline and its records. Knows no JAX."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.bench.statistics import (
    Comparison,
    PerformanceProfile,
    Summary,
    caveats,
    compare_accuracy,
    compare_times,
    earliest_significant,
    median_interval,
    performance_profile,
    summarise,
    times_to_target,
)
from jaxsched.bench.study.manifest import StudyManifest
from jaxsched.bench.study.target import Target, resolve_target
from jaxsched.tracking.records import Record, read_record

MANIFEST_FILE = "study.json"
RECORDS_FOLDER = "records"


@dataclass(frozen=True)
class Results:
    """A study's results: what every table, picture and page is made from.

    Attributes:
        outline: of the study.
        records: of its runs that came to their end or died, in its order.
        target: accuracy to reach, with its origin.
        summaries: one an experiment.
        by_accuracy: each experiment's final accuracy against the baseline's.
        by_steps: likewise, its updates to the target.
        surely_over: by name, the first evaluation from which on the mean over seeds is
            significantly over the target; only those that have one.
        profile: over the target and the further ones, by the median of updates; None with one
            target alone.
        caveats: what a reader must be told first.
    """

    manifest: StudyManifest
    records: tuple[Record, ...]
    target: Target
    summaries: tuple[Summary, ...]
    by_accuracy: tuple[Comparison, ...]
    by_steps: tuple[Comparison, ...]
    surely_over: Mapping[str, Mapping[str, Any]]
    profile: PerformanceProfile | None
    caveats: tuple[str, ...]

    def runs_of(self, name: str) -> list[Record]:
        """The finished runs of an experiment."""
        return [record for record in self.records if record.name == name]

    @classmethod
    def of(cls, manifest: StudyManifest, records: Sequence[Record]) -> "Results":
        """Computes them.

        Args:
            outline: of the study.
            records: of its runs, in any order; those that were cut off and those of other
                experiments are left out.

        Raises:
            ValueError: when none of its runs has finished, or the target's baseline has not.
        """
        # A run that died may have come to its end elsewhere.
        results = sorted((r for r in records if r.is_result), key=lambda r: r.is_complete)
        found = {(r.name, r.header["digest"], r.header["seed"]): r for r in results}
        runs = [(run.name, run.digest, run.seed) for run in manifest.runs]
        made = tuple(found[run] for run in runs if run in found)
        if not made:
            raise ValueError(
                f"none of the {len(runs)} runs of {manifest.name} has a finished record among the "
                f"{len(records)} that were read; run `jaxsched bench` on its file first."
            )
        target = resolve_target(manifest.target, made)
        return cls(
            manifest=manifest,
            records=made,
            target=target,
            summaries=tuple(summarise(made, target.accuracy)),
            by_accuracy=tuple(compare_accuracy(made, manifest.baseline)),
            by_steps=tuple(compare_times(made, manifest.baseline, target.accuracy, "step")),
            surely_over=_surely_over(made, target.accuracy),
            profile=_profile(made, (target.accuracy, *manifest.further_targets)),
            caveats=tuple(caveats(manifest, made, target)),
        )

    @classmethod
    def read(cls, folders: Sequence[Path]) -> "Results":
        """Computes them from folders of one study, such as several hosts have each a part of.

        Args:
            folders: each with the study's outline and its records. Of a run that two of them hold
                the first counts, unless it died there.

        Raises:
            FileNotFoundError: when a folder is none of a study.
            ValueError: when they are not of the same study, a record is damaged, or `of` raises.
        """
        outlines = [StudyManifest.read(folder / MANIFEST_FILE) for folder in folders]
        for folder, manifest in zip(folders, outlines, strict=True):
            if manifest != outlines[0]:
                raise ValueError(
                    f"{folder} holds another study, or other runs of {outlines[0].name}, than "
                    f"{folders[0]}; give the folders of one study, made from one file."
                )
        paths = [path for folder in folders for path in _records(folder)]
        # The first one wins.
        return cls.of(outlines[0], [read_record(path) for path in reversed(paths)])


def by_study(folders: Sequence[Path]) -> list[list[Path]]:
    """Folders that hold a study of the same name together, for `Results.read`, in their order.

    Args:
        folders: each with a study's outline.

    Raises:
        FileNotFoundError: when a folder is none of a study.
        ValueError: when an outline is damaged.
    """
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        groups.setdefault(StudyManifest.read(folder / MANIFEST_FILE).name, []).append(folder)
    return list(groups.values())


def _by_name(records: Sequence[Record]) -> dict[str, list[Record]]:
    names = dict.fromkeys(record.name for record in records)
    return {name: [record for record in records if record.name == name] for name in names}


def _surely_over(records: Sequence[Record], target: float) -> dict[str, Mapping[str, Any]]:
    found = {name: earliest_significant(runs, target) for name, runs in _by_name(records).items()}
    return {name: row for name, row in found.items() if row is not None}


def _profile(records: Sequence[Record], targets: Sequence[float]) -> PerformanceProfile | None:
    """A task is a target: the study has one data set and, mostly, one network."""
    if len(targets) < 2:
        return None

    def median(runs: Sequence[Record], target: float) -> float:
        value = median_interval(times_to_target(runs, target, "step")).value
        return math.inf if value is None else value

    return performance_profile(
        {
            name: [median(runs, target) for target in targets]
            for name, runs in _by_name(records).items()
        }
    )


def _records(folder: Path) -> list[Path]:
    return sorted((folder / RECORDS_FOLDER).glob("*.jsonl"))
