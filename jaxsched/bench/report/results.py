"""Everything that is computed from a study's manifest and records. Imports no JAX."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.bench.statistics import (
    Comparison,
    PerformanceProfile,
    Summary,
    TimeAxis,
    answer,
    caveats,
    compare_by_average,
    compare_final,
    compare_times,
    counted,
    earliest_significant,
    has_average,
    median_interval,
    performance_profile,
    recorded_axes,
    summarise,
    times_to_target,
    which_counts,
)
from jaxsched.bench.study.find_records import FoundRecords, read_study
from jaxsched.bench.study.manifest import MANIFEST_FILE, StudyManifest
from jaxsched.bench.study.target import Target, resolve_target
from jaxsched.bench.study.unfinished import NothingYetError
from jaxsched.metric import Evaluate, Metric
from jaxsched.tracking.records import FAILED, Record


@dataclass(frozen=True)
class Results:
    """A study's results, from which every table, every plot and the page are made.

    Attributes:
        manifest: the study's manifest.
        records: the records of its runs that ended, in the study's order, as they were recorded.
        counted: the same records with what counts in the metric's column, see `counted` and
            `Study.evaluate`. All statistics below are of these.
        target: the value to reach, with its metric and origin.
        time_axes: the axes of time that all evaluations have.
        summaries: one for each experiment.
        by_final: the metric's final values of each experiment compared with the baseline's.
        by_steps: each experiment's updates to the target compared with the baseline's.
        by_weights: by "raw" and "averaged", the summaries of the experiments that have an average
            as if these weights counted. Both are empty if none has one.
        by_average: for each experiment with an average, the final values of its averaged weights
            compared with those of the raw weights of the same runs, averaged − raw.
        significantly_better: by name, the first evaluation from which on the mean over seeds is
            significantly better than the target; experiments without one are left out.
        profile: the performance profile over the target and the further targets, from the median
            number of updates; None if there is only one target.
        answer: the answer to the study's question in a few sentences, see `answer`.
        caveats: what a reader must know before the numbers.
    """

    manifest: StudyManifest
    records: tuple[Record, ...]
    counted: tuple[Record, ...]
    target: Target
    time_axes: tuple[TimeAxis, ...]
    summaries: tuple[Summary, ...]
    by_final: tuple[Comparison, ...]
    by_steps: tuple[Comparison, ...]
    by_weights: Mapping[Evaluate, tuple[Summary, ...]]
    by_average: tuple[Comparison, ...]
    significantly_better: Mapping[str, Mapping[str, Any]]
    profile: PerformanceProfile | None
    answer: str
    caveats: tuple[str, ...]

    @property
    def metric(self) -> Metric:
        """The metric that has to reach the target, under the name of its column."""
        return self.target.metric

    @property
    def which_counts(self) -> str:
        """Which weights count, as part of a sentence; "" if no run has an average."""
        return which_counts(self.records, self.metric, self.manifest.evaluate)

    def runs_of(self, name: str) -> list[Record]:
        """Returns the records of one experiment, as they were recorded."""
        return [record for record in self.records if record.name == name]

    def counted_of(self, name: str) -> list[Record]:
        """Returns the records of one experiment with what counts in the metric's column."""
        return [record for record in self.counted if record.name == name]

    @classmethod
    def of(
        cls, manifest: StudyManifest, records: Sequence[Record], cautions: Sequence[str] = ()
    ) -> "Results":
        """Computes the results.

        Args:
            manifest: the study's manifest.
            records: the records of its runs, in any order. Runs that were cut off and runs of
                other experiments are left out.
            cautions: those about the records' files, see `find_records`; they become caveats.

        Raises:
            ValueError: if none of the study's runs has finished, or none of the target's baseline,
                or if a run did not measure the study's metric.
        """
        # Of two records of one run the later wins: one that came to its end, not one that died.
        ended = sorted((r for r in records if r.is_result), key=lambda r: r.is_complete)
        found = {(r.name, r.header["digest"], r.header["seed"]): r for r in ended}
        runs = [(run.name, run.digest, run.seed) for run in manifest.runs]
        results = tuple(found[run] for run in runs if run in found)
        if not results:
            raise NothingYetError(
                f"none of the {len(runs)} runs of {manifest.name} has a finished record among the "
                f"{len(records)} that were read; run `jaxsched bench` on its file first."
                f"{''.join(f' {caution}' for caution in cautions)}"
            )
        for record in results:
            _require_metric(record, manifest.metric)
        metric = manifest.metric
        views = tuple(counted(record, metric, manifest.evaluate) for record in results)
        target = resolve_target(manifest.target, metric, views)
        further = [Target(value, metric) for value in manifest.further_targets]
        return cls(
            manifest=manifest,
            records=results,
            counted=views,
            target=target,
            time_axes=recorded_axes(results),
            summaries=tuple(summarise(views, target)),
            by_final=tuple(compare_final(views, manifest.baseline, metric.name)),
            by_steps=tuple(compare_times(views, manifest.baseline, target, "step")),
            by_weights=_by_weights(results, target),
            by_average=tuple(compare_by_average(results, metric)),
            significantly_better=_significantly_better(views, target),
            profile=_profile(views, (target, *further)),
            answer=answer(manifest, views, target),
            caveats=(*cautions, *caveats(manifest, results, target)),
        )

    @classmethod
    def read(cls, folders: Sequence[Path]) -> "Results":
        """Computes the results from the folders of one study, such as those of several hosts.

        Args:
            folders: each with the study's manifest and some of its records. If two of them hold
                the same run, the first counts, unless it died there.

        Raises:
            FileNotFoundError: if a folder has no manifest.
            ValueError: if the folders are not of the same study, or `of` raises.
        """
        return cls.of_found(*read_study(folders))

    @classmethod
    def of_found(cls, manifest: StudyManifest, found: FoundRecords) -> "Results":
        """Computes the results of what `read_study` returns; see `read`."""
        # Reversed, because `of` prefers the later of two records.
        return cls.of(manifest, found.records[::-1], found.cautions)


def by_study(folders: Sequence[Path]) -> list[list[Path]]:
    """Groups folders by the name of their study, for `Results.read`; keeps their order.

    Args:
        folders: each with a study's manifest.

    Raises:
        FileNotFoundError: if a folder has no manifest.
        ValueError: if a manifest is damaged.
    """
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        groups.setdefault(StudyManifest.read(folder / MANIFEST_FILE).name, []).append(folder)
    return list(groups.values())


def _by_name(records: Sequence[Record]) -> dict[str, list[Record]]:
    names = dict.fromkeys(record.name for record in records)
    return {name: [record for record in records if record.name == name] for name in names}


def _require_metric(record: Record, metric: Metric) -> None:
    """Refuses a run that did not measure the study's metric, or in the other direction.

    One that died before it measured anything counts as a miss.
    """
    has_died = record.status in ("diverged", FAILED)
    is_missing = metric.name not in record.columns and not has_died
    if record.evaluations and (is_missing or record.metric(metric.name) != metric):
        found = [record.metric(column) for column in record.columns]
        shown = ", ".join(f"{metric.name} ({metric.better})" for metric in found if metric)
        raise ValueError(
            f"the study compares by {metric.name}, of which {metric.better} is better, but "
            f"{record.name}, seed {record.header['seed']}, measured {shown or 'no metric'}; give "
            "the study a metric that all of its runs measured, or leave this run out."
        )


def _by_weights(records: Sequence[Record], target: Target) -> dict[Evaluate, tuple[Summary, ...]]:
    """The summaries of the experiments with an average, by the weights that would count."""
    metric = target.metric
    averaging = {record.name for record in records if has_average(record, metric)}
    runs = [record for record in records if record.name in averaging]
    kinds: tuple[Evaluate, ...] = ("raw", "averaged")
    return {
        kind: tuple(summarise([counted(run, metric, kind) for run in runs], target))
        for kind in kinds
    }


def _significantly_better(
    records: Sequence[Record], target: Target
) -> dict[str, Mapping[str, Any]]:
    found = {name: earliest_significant(runs, target) for name, runs in _by_name(records).items()}
    return {name: row for name, row in found.items() if row is not None}


def _profile(records: Sequence[Record], targets: Sequence[Target]) -> PerformanceProfile | None:
    """The profile with the targets as tasks, since a study has one data set."""
    if len(targets) < 2:
        return None

    def median(runs: Sequence[Record], target: Target) -> float:
        value = median_interval(times_to_target(runs, target, "step")).value
        return math.inf if value is None else value

    return performance_profile(
        {
            name: [median(runs, target) for target in targets]
            for name, runs in _by_name(records).items()
        }
    )
