"""Caveats: what a reader of a study must know before its numbers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxsched.bench.statistics.counted import counted, has_average
from jaxsched.bench.statistics.time_to_target import first_at_target
from jaxsched.bench.study.manifest import StudyManifest
from jaxsched.bench.study.target import MedianBest, Target
from jaxsched.bench.values import final_value
from jaxsched.experiment.diff import differences
from jaxsched.metric import Evaluate
from jaxsched.text import join_names
from jaxsched.tracking.records import Record

# A run that is at the target at its k-th evaluation may have been there up to 1/k of that time
# earlier. With fewer evaluations than four, steps to target are known to no better than a third.
_FEWEST_EVALUATIONS = 4
# The exact signed-rank test, which allows misses, has no p-value below 0.05 for fewer pairs.
_FEWEST_PAIRS = 6
# The entries of a record's environment that must be equal if seconds are to be compared.
_HARDWARE = ("processor", "device", "cores", "num_devices")
_VERSIONS = ("packages", "python", "commit")
_MOST_NAMED = 5


def caveats(manifest: StudyManifest, records: Sequence[Record], target: Target) -> list[str]:
    """Lists the reasons why a study's numbers may mean less than they seem to, a sentence each.

    Args:
        manifest: the study's manifest.
        records: the records of its runs, as they were recorded; those of runs that were cut off
            count as missing.
        target: the value to reach.

    Example:
        >>> from jaxsched.bench import StudyManifest, Target, caveats
        >>> from jaxsched.metric import Metric
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.tracking.records import Run
        >>> manifest = StudyManifest(
        ...     name="s", runs=(Run("a", "0", 0),), target=0.9, further_targets=(), baseline="a",
        ...     published={},
        ... )
        >>> rows = ({"step": 1, "test_accuracy": 0.5},)
        >>> record = Record({"name": "a", "seed": 0}, rows, {"status": "finished"})
        >>> target = Target(0.9, Metric("test_accuracy", "higher", is_share=True))
        >>> for caveat in caveats(manifest, [record], target):
        ...     print(caveat)
        a has only one run (n = 1), so nothing is known about the variation between seeds.
        a reached 90.00% in none of its runs.
    """
    recorded = [record for record in records if record.is_result]
    results = [counted(record, target.metric, manifest.evaluate) for record in recorded]
    return [
        *_missing_runs(manifest, results),
        *_few_seeds(manifest, results, target),
        *_never_reached(manifest, results, target),
        *_other_weights(manifest, recorded, target),
        *_coarse_times(results, target),
        *_died_runs(results, target),
        *_not_finite(manifest, results, target),
        *_target_by_rule(manifest, target),
        *_different_data(results),
        *_different_environments(results),
    ]


def _different_data(results: Sequence[Record]) -> Iterator[str]:
    """Runs whose source of data is the same have to have the same data."""
    by_source: dict[str, list[Record]] = {}
    for record in results:
        source = json.dumps(record.header.get("config", {}).get("data"), sort_keys=True)
        by_source.setdefault(source, []).append(record)
    for records in by_source.values():
        known = [record for record in records if "data" in record.header]
        others = [r for r in known if r.header["data"] != known[0].header["data"]]
        if others:
            changes = "; ".join(differences(known[0].header["data"], others[0].header["data"]))
            yield (
                f"Runs were made with different data and cannot be compared: {_named(others)} with "
                f"other data than {_named(known[:1])} ({changes})."
            )
        if 0 < len(known) < len(records):
            yield (
                f"{len(records) - len(known)} of {len(records)} runs are from before records named "
                "their data; whether it is that of the others is not known."
            )


def _missing_runs(manifest: StudyManifest, results: Sequence[Record]) -> Iterator[str]:
    finished = {(record.name, record.header.get("seed")) for record in results}
    missing = [run for run in manifest.runs if (run.name, run.seed) not in finished]
    if missing:
        names = _with_count([f"{run.name} seed {run.seed}" for run in missing])
        yield f"{len(missing)} of {len(manifest.runs)} runs have not finished: {names}."


def _few_seeds(manifest: StudyManifest, results: Sequence[Record], target: Target) -> Iterator[str]:
    counts = {name: len(_runs_of(results, name)) for name in manifest.names}
    for few, meaning in (
        (1, "only one run (n = 1), so nothing is known about the variation between seeds."),
        (2, "only two runs (n = 2), too few for any but the largest differences."),
    ):
        names = [name for name, count in counts.items() if count == few]
        if names:
            has = "has" if len(names) == 1 else "have"
            yield f"{join_names(names)} {has} {meaning}"
    has_misses = any(first_at_target(record, target) is None for record in results)
    if has_misses and 3 <= max(counts.values(), default=0) < _FEWEST_PAIRS:
        yield (
            "With fewer than six seeds, a difference in time to the target cannot be significant "
            f"(p < 0.05) where runs missed it; one in final {target.metric.noun} can."
        )


def _never_reached(
    manifest: StudyManifest, results: Sequence[Record], target: Target
) -> Iterator[str]:
    names = []
    for name in manifest.names:
        runs = _runs_of(results, name)
        if runs and not any(first_at_target(run, target) for run in runs):
            names.append(name)
    if names:
        its = "its" if len(names) == 1 else "their"
        value = target.metric.show(target.value) if target.metric.is_share else target.words
        yield f"{join_names(names)} reached {value} in none of {its} runs."


def _other_weights(
    manifest: StudyManifest, recorded: Sequence[Record], target: Target
) -> Iterator[str]:
    """Says what the choice of raw or averaged weights decides."""
    metric, evaluate = target.metric, manifest.evaluate
    names = [
        n for n in manifest.names if any(has_average(r, metric) for r in _runs_of(recorded, n))
    ]
    if names and evaluate == "better":
        yield (
            f"The better of raw and averaged weights counts for {join_names(names)} at each "
            "evaluation: the luckier of two looks at the test examples, which is optimistic."
        )
        return
    other: Evaluate = "averaged" if evaluate == "raw" else "raw"
    for name in names:
        runs = _runs_of(recorded, name)
        ours, theirs = (
            sum(first_at_target(counted(run, metric, weights), target) is not None for run in runs)
            for weights in (evaluate, other)
        )
        if ours != theirs:
            yield (
                f"By its {evaluate} weights, which count, {name} reached the target in {ours} of "
                f"{len(runs)} runs; by its {other} weights in {theirs}."
            )


def _coarse_times(results: Sequence[Record], target: Target) -> Iterator[str]:
    names = {}  # each once, in order
    for record in results:
        first = first_at_target(record, target)
        if first is not None and _num_evaluations_until(record, first) < _FEWEST_EVALUATIONS:
            names[record.name] = None
    if names:
        its = "its" if len(names) == 1 else "their"
        yield (
            f"{join_names(list(names))} reached the target within the first "
            f"{_FEWEST_EVALUATIONS - 1} evaluations, so {its} steps to target are coarse."
        )


def _num_evaluations_until(record: Record, row: Mapping[str, Any]) -> int:
    return sum(other["step"] <= row["step"] for other in record.evaluations)


def _died_runs(results: Sequence[Record], target: Target) -> Iterator[str]:
    for record in results:
        if record.end is not None and record.status not in ("finished", "stopped"):
            run, reason = (
                f"{record.name}, seed {record.header.get('seed')}",
                record.end.get("reason"),
            )
            has_reached = first_at_target(record, target) is not None
            outcome = "after it had reached the target" if has_reached else "it counts as a miss"
            yield f"{run}: {reason or record.status}; {outcome}."


def _not_finite(
    manifest: StudyManifest, results: Sequence[Record], target: Target
) -> Iterator[str]:
    for name in manifest.names:
        measured = [run for run in _runs_of(results, name) if run.evaluations]
        lost = [run for run in measured if final_value(run, target.metric.name) is None]
        if lost:
            yield (
                f"The final {target.metric.noun} of {name} is a mean without {len(lost)} of its "
                f"{len(measured)} runs, whose last one is not a finite number."
            )


def _target_by_rule(manifest: StudyManifest, target: Target) -> Iterator[str]:
    if isinstance(manifest.target, MedianBest):
        yield (
            f"The target is the {target.origin}, so by construction {manifest.target.baseline} "
            "misses it in about half of its runs."
        )


def _different_environments(results: Sequence[Record]) -> Iterator[str]:
    for keys, meaning in (
        (_HARDWARE, "Runs used different hardware, so their seconds cannot be compared"),
        (_VERSIONS, "Runs used different software versions"),
    ):
        for key in keys:
            found = {str(record.header.get("environment", {}).get(key)) for record in results}
            if len(found) > 1:
                yield f"{meaning} ({key}: {'; '.join(sorted(found))})."
    most = max((record.header.get("at_once", {"size": 1})["size"] for record in results), default=1)
    if most > 1:
        yield f"Up to {most} runs were trained at the same time; alone, each might be faster."


def _runs_of(results: Sequence[Record], name: str) -> list[Record]:
    return [record for record in results if record.name == name]


def _named(records: Sequence[Record]) -> str:
    return _with_count([f"{r.name} seed {r.header.get('seed')}" for r in records])


def _with_count(names: Sequence[str]) -> str:
    others = len(names) - _MOST_NAMED
    more = f" and {others} more" if others > 0 else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
