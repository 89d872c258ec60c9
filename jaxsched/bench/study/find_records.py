"""The records of a study's runs, found by the study's own file names. Imports no JAX."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsched.bench.study.manifest import MANIFEST_FILE, RECORDS_FOLDER, StudyManifest
from jaxsched.bench.study.unfinished import UnfinishedRun, not_counted, unfinished_runs
from jaxsched.text import visible
from jaxsched.tracking.records import Record, Run, read_records

_MOST_NAMED = 5


class FoundRecords(NamedTuple):
    """The records of a study, cautions about files that are left out, and what has not ended."""

    records: tuple[Record, ...]
    cautions: tuple[str, ...]
    unfinished: tuple[UnfinishedRun, ...]


def find_records(manifest: StudyManifest, folders: Sequence[Path]) -> FoundRecords:
    """Reads the records of a study's runs that have ended.

    A record is that of a run if it has the run's file name. Others, such as copies, records that
    cannot be read and those whose content is another run's are left out, each with a caution.

    Args:
        manifest: the study's manifest.
        folders: the folders of records, such as those of several hosts.
    """
    records: list[Record] = []
    cautions: list[str] = []
    for folder in folders:
        cautions += _strangers(manifest, folder)
        for run in manifest.runs:
            found, unreadable = read_records([folder / run.file_name])
            cautions += [f"A record is left out: {reason}" for reason in unreadable]
            for record in found:
                if record.is_result and _run_of(record) != run:
                    other = f"{record.name}, seed {record.header['seed']}"
                    cautions.append(
                        f"A record is left out: {folder / run.file_name} holds that of {other}."
                    )
                elif record.is_result:
                    records.append(record)
    unfinished = _left_unfinished(manifest, folders, records)
    return FoundRecords(tuple(records), (*cautions, *not_counted(unfinished)), tuple(unfinished))


def read_study(folders: Sequence[Path]) -> tuple[StudyManifest, FoundRecords]:
    """Reads the manifest and the records of the folders of one study, such as of several hosts.

    Args:
        folders: each with the study's manifest and some of its records.

    Raises:
        FileNotFoundError: if a folder has no manifest.
        ValueError: if the folders are not of the same study.
    """
    first, *others = [StudyManifest.read(folder / MANIFEST_FILE) for folder in folders]
    for folder, manifest in zip(folders[1:], others, strict=True):
        if manifest != first:
            raise ValueError(
                f"{folder} holds another study, or other runs of {first.name}, than "
                f"{folders[0]}; give the folders of one study, made from one file."
            )
    return first, find_records(first, [folder / RECORDS_FOLDER for folder in folders])


def _left_unfinished(
    manifest: StudyManifest, folders: Sequence[Path], records: Sequence[Record]
) -> list[UnfinishedRun]:
    """Returns the runs of a study that have begun, and of which no folder has the end.

    Args:
        manifest: the study's manifest.
        folders: the folders of records.
        records: those of the runs that have ended.
    """
    ended = set(map(_run_of, records))
    return unfinished_runs(
        folder / run.file_name for folder in folders for run in manifest.runs if run not in ended
    )


def _run_of(record: Record) -> Run:
    return Run(record.name, record.header["digest"], record.header["seed"])


def _strangers(manifest: StudyManifest, folder: Path) -> Iterator[str]:
    """Yields a caution if the folder has records of other names than the study's."""
    own = {run.file_name for run in manifest.runs}
    others = sorted(path.name for path in folder.glob("*.jsonl") if path.name not in own)
    if others:
        named = ", ".join(map(visible, others[:_MOST_NAMED]))
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        yield (
            f"{len(others)} record{'s' if len(others) > 1 else ''} in {folder} "
            f"{'are' if len(others) > 1 else 'is'} not named as a run of this study and left out: "
            f"{named}{more}."
        )
