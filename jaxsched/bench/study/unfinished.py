"""Runs that have begun and not ended: how far they are, and whether a process still makes them.

Imports no JAX.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxsched.tracking.claim import is_claimed
from jaxsched.tracking.records import Record, read_records

_MOST_NAMED = 5


class NothingYetError(ValueError):
    """There is nothing to report before more runs have ended."""


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that has begun and not ended.

    Attributes:
        path: the file of its record.
        record: its record so far; None before there is one.
        is_in_progress: whether a process holds the claim on the record. None does if the run was
            cut off, or is made on another machine that shares no folder with this one.
    """

    path: Path
    record: Record | None
    is_in_progress: bool

    @property
    def words(self) -> str:
        """How far it is, such as "cosine, seed 1: update 400 of 900, test accuracy 91.20%"."""
        if self.record is None:
            return f"{self.path.stem}: before its first update"
        header, rows = self.record.header, self.record.evaluations
        name, total = f"{self.record.name}, seed {header['seed']}", header.get("total_steps")
        if not rows:
            return f"{name}: before its first evaluation"
        how_far = f"update {rows[-1]['step']:,}" + (f" of {total:,}" if total else "")
        column = self.record.main_column
        metric, value = self.record.metric(column), rows[-1].get(column)
        if metric is None or value is None:
            return f"{name}: {how_far}"
        return f"{name}: {how_far}, {metric.words} {metric.show(float(value))}"


def unfinished_runs(paths: Iterable[Path]) -> list[UnfinishedRun]:
    """Returns the runs of these records that have begun and not ended.

    Args:
        paths: files of records; a file that cannot be read is left out.
    """
    found = []
    for path in paths:
        records, unreadable = read_records([path])
        record = records[0] if records and records[0].header else None
        if unreadable or (record is not None and record.is_result):
            continue
        is_in_progress = is_claimed(path)
        if record is not None or is_in_progress:
            found.append(UnfinishedRun(path, record, is_in_progress))
    return found


def not_counted(runs: Sequence[UnfinishedRun]) -> list[str]:
    """Returns the caution that these runs do not count; none without runs."""
    clauses = describe_unfinished(runs)
    return [f"Runs that have not ended do not count: {'; '.join(clauses)}."] if runs else []


def describe_unfinished(runs: Sequence[UnfinishedRun]) -> list[str]:
    """Says in a clause each which runs are in progress, and which no process makes now."""
    clauses = []
    for is_in_progress, one, several in (
        (True, "is in progress", "are in progress"),
        (False, "has begun, but no process makes it now", "have begun, but no process makes them"),
    ):
        words = [run.words for run in runs if run.is_in_progress == is_in_progress]
        if words:
            more = f"; and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
            state = one if len(words) == 1 else several
            clauses.append(f"{len(words)} {state} ({'; '.join(words[:_MOST_NAMED])}{more})")
    return clauses
