"""Records: a JSON-lines file for each run, from which all tables and plots are made."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAILED = "failed"


@dataclass(frozen=True)
class Record:
    """The content of a run's record.

    Attributes:
        header: the experiment's name, digest and config, the seed, the source text and the
            environment.
        evaluations: the rows, in order; see `jaxsched.train.Evaluation`.
        end: the status and the reason; None when the run was cut off.
    """

    header: Mapping[str, Any]
    evaluations: tuple[Mapping[str, Any], ...]
    end: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.header["name"]

    @property
    def status(self) -> str | None:
        """The run's status at its end, see `Outcome`; "failed" after an error, None if cut off."""
        return self.end.get("status") if self.end is not None else None

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end or diverged, so that it is not run again."""
        return self.end is not None and self.status != FAILED

    @property
    def is_result(self) -> bool:
        """Whether the run counts in statistics. A failed one does: it did not reach its target."""
        return self.end is not None


class RecordWriter:
    """Writes a record line by line. Each line is on disk before the run continues.

    The record of a run that was cut off or failed is overwritten; that of a run that came to its
    end is never changed. An error within the `with` block, unless it is an OSError, ends the run:
    it becomes the last line.

    Args:
        path: the path of the record, whose folder is made.
        header: the first line.

    Raises:
        FileExistsError: when the file holds a finished run.
        OSError: when a line cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]):
        refuse_finished(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._ended = False
        # Unbuffered: closing a buffered file would try to write a line that failed once more.
        self._file = path.open("wb", buffering=0)
        self._write("run", header)

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        self._write("evaluation", row)

    def end(self, **result: Any) -> None:
        """Appends the last line. Without it the run counts as cut off."""
        self._write("end", result)
        self._ended = True

    def fail(self, error: Exception) -> None:
        """Appends the last line of a run that an error ended."""
        self.end(status=FAILED, reason=format_error(error))

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._file:
            # Ctrl-C and preemption, which are no Exceptions, only interrupt a run. After an OSError
            # the line could probably not be written.
            if isinstance(error, Exception) and not isinstance(error, OSError) and not self._ended:
                self.fail(error)

    def _write(self, kind: str, content: Mapping[str, Any]) -> None:
        line = (json.dumps({"kind": kind, **content}) + "\n").encode()
        try:
            # An unbuffered write to a disk that is almost full writes a part without an error.
            written = self._file.write(line)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(self._failure(error)) from error
        if written < len(line):
            raise OSError(self._failure("the disk is full"))

    def _failure(self, cause: object) -> str:
        return (
            f"cannot write to {self._path}: {cause}. The lines before are kept; make room and run "
            "the same command again."
        )


def format_error(error: Exception) -> str:
    """Returns the type of an error and the first line of its message.

    Example:
        >>> from jaxsched.tracking.records import format_error
        >>> format_error(MemoryError("no room\\nfor it"))
        'MemoryError: no room'
    """
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def refuse_finished(path: Path) -> None:
    """Raises a FileExistsError when the file holds a finished run, which must not be lost."""
    if path.exists() and read_record(path).is_complete:
        raise FileExistsError(
            f"{path} holds a finished run; move it away, with the folder {path.stem} beside it, "
            "to run the experiment again, or write to another --workdir."
        )


def read_record(path: Path) -> Record:
    """Reads a record. A last line that was cut off in the middle is left out.

    Raises:
        ValueError: when the file is no record or is damaged; the message names the line.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    entries, kinds = [], []
    for number, line in enumerate(lines[:-1], start=1):  # after the last newline: "" or a torn line
        try:
            entry = json.loads(line)
            kinds.append(entry["kind"])
            entries.append(entry)
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}, line {number}: expected a record's line, JSON with a 'kind', got "
                f"{line[:40]!r}; move the file away to run the experiment again."
            ) from error
    has_end = kinds[-1:] == ["end"]
    rows = entries[1:-1] if has_end else entries[1:]
    if kinds[:1] not in ([], ["run"]) or any(row.get("kind") != "evaluation" for row in rows):
        raise ValueError(
            f"{path}: expected a line 'run', lines 'evaluation' and a line 'end', got {kinds}; "
            "move the file away to run the experiment again."
        )
    return Record(
        header=entries[0] if entries else {},
        evaluations=tuple(rows),
        end=entries[-1] if has_end else None,
    )


@dataclass(frozen=True)
class Run:
    """The identity of a run.

    Attributes:
        name: the experiment's name.
        digest: the experiment's digest, which changes with any of its fields.
        seed: the run's seed.
    """

    name: str
    digest: str
    seed: int

    @property
    def file_name(self) -> str:
        """The file name of the run's record."""
        return f"{self.name}-{self.digest}-seed{self.seed}.jsonl"
