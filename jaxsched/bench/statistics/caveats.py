"""What a reader of a study must be told before its numbers."""

from collections.abc import Iterator, Sequence
from typing import Any

from jaxsched.bench.statistics.time_to_target import first_at_target
from jaxsched.bench.study.manifest import StudyManifest
from jaxsched.bench.study.target import MedianBest, Target
from jaxsched.tracking.records import Record

# With fewer looks before the hit, its step is known to no better than a quarter.
_FEWEST_LOOKS = 4
# What may not differ between runs whose seconds are compared.
_MACHINE = ("processor", "device", "cores", "num_devices")
_CODE = ("packages", "python", "commit")


def caveats(manifest: StudyManifest, records: Sequence[Record], target: Target) -> list[str]:
    """Why the numbers may say less than they seem to, a sentence each.

    Args:
        outline: of the study.
        records: of its runs, those that were cut off among them.
        target: to reach.

    Example:
        >>> from jaxsched.bench import StudyManifest, Target, caveats
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.tracking.records import Run
        >>> manifest = StudyManifest(
        ...     name="s", runs=(Run("a", "0", 0),), target=0.9, further_targets=(), baseline="a",
        ...     published={},
        ... )
        >>> rows = ({"step": 1, "test_accuracy": 0.5},)
        >>> record = Record({"name": "a", "seed": 0}, rows, {"status": "finished"})
        >>> for caveat in caveats(manifest, [record], Target(0.9, "set by hand")):
        ...     print(caveat)
        a has one run (n = 1): nothing is known of how much seeds differ.
        a never reached 90.00% in any run.
    """
    results = [record for record in records if record.is_result]
    return [
        *_of_what_is_missing(manifest, results),
        *_of_numbers(manifest, results),
        *_of_hits(manifest, results, target),
        *_of_machines(results),
    ]


def _of_what_is_missing(manifest: StudyManifest, results: Sequence[Record]) -> Iterator[str]:
    made = {(record.name, record.header.get("seed")) for record in results}
    missing = [run for run in manifest.runs if (run.name, run.seed) not in made]
    if missing:
        names = ", ".join(f"{run.name} seed {run.seed}" for run in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        yield f"{len(missing)} of {len(manifest.runs)} runs have not finished: {names}{more}."


def _of_numbers(manifest: StudyManifest, results: Sequence[Record]) -> Iterator[str]:
    counts = {name: sum(r.name == name for r in results) for name in manifest.names}
    for count, said in (
        (1, "one run (n = 1): nothing is known of how much seeds differ."),
        (2, "two runs (n = 2): too few to claim any but the largest differences."),
    ):
        names = [name for name, of in counts.items() if of == count]
        if names:
            yield f"{_listed(names)} {_has(names)} {said}"
    if 3 <= max(counts.values(), default=0) < 6:
        yield (
            "With fewer than six seeds the test of times to target cannot reach p < 0.05; only "
            "final accuracies can be told apart."
        )


def _of_hits(manifest: StudyManifest, results: Sequence[Record], target: Target) -> Iterator[str]:
    hits = {
        name: [first_at_target(r, target.accuracy) for r in results if r.name == name]
        for name in manifest.names
    }
    never = [name for name, of in hits.items() if of and not any(hit is not None for hit in of)]
    if never:
        yield f"{_listed(never)} never reached {target.accuracy:.2%} in any run."
    coarse = [
        record.name
        for record in results
        for hit in [first_at_target(record, target.accuracy)]
        if hit is not None and _looks(record, hit) < _FEWEST_LOOKS
    ]
    if coarse:
        yield (
            f"{_listed(list(dict.fromkeys(coarse)))} reached the target within the first "
            f"{_FEWEST_LOOKS - 1} evaluations: steps to it are coarse."
        )
    for record in results:
        if record.end is not None and record.status not in ("finished", "stopped"):
            reason = record.end.get("reason") or record.status
            yield f"{record.name}, seed {record.header.get('seed')}: {reason}; it counts as a miss."
    if isinstance(manifest.target, MedianBest):
        yield (
            f"The target is the {target.origin}, so that {manifest.target.baseline} misses it in "
            "about half of its runs by construction."
        )


def _looks(record: Record, hit: Any) -> int:
    return sum(row["step"] <= hit["step"] for row in record.evaluations)


def _of_machines(results: Sequence[Record]) -> Iterator[str]:
    for keys, said in (
        (_MACHINE, "Runs were made on different hardware, and their seconds cannot be compared"),
        (_CODE, "Runs were made with different versions"),
    ):
        for key in keys:
            found = {str(record.header.get("environment", {}).get(key)) for record in results}
            if len(found) > 1:
                yield f"{said} ({key}: {'; '.join(sorted(found))})."
    most = max((record.header.get("at_once", {"size": 1})["size"] for record in results), default=1)
    if most > 1:
        yield f"Up to {most} runs were made at a time: alone, they may take fewer seconds."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
