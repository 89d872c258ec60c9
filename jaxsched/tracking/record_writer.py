"""Writes the record of a run, line by line."""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from jaxsched.output import explain, refuse_link
from jaxsched.text import visible
from jaxsched.tracking.claim import claim_record
from jaxsched.tracking.records import FAILED, FORMAT, checksum, refuse_finished


class RecordWriter:
    """Writes a record line by line. Each line is on disk before the run continues.

    The record of a run that was cut off or failed is overwritten; that of a run that came to its
    end is never changed. An error within the `with` block, unless it is an OSError, ends the run:
    it becomes the last line. Until the end of the block the writer holds the claim on the record.

    Args:
        path: the path of the record, whose folder is made.
        header: the first line.
        is_claimed: whether the caller holds the claim already, see `claim_record`.

    Raises:
        BlockingIOError: when another process writes the record.
        FileExistsError: when the file holds a finished run.
        ValueError: when the file is no record.
        OSError: when a line cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, is_claimed: bool = False):
        self._path, self._ended, self._checksum = path, False, 0
        self._is_torn = False  # whether a line could not be written, after which none may stand
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            if not is_claimed:
                opening.enter_context(claim_record(path))
            refuse_finished(path)
            refuse_link(path)
            self._file = opening.enter_context(_opened(path))
            self._write(self._line("run", {"format": FORMAT, **header}))
            self._stack = opening.pop_all()

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        self._write(self._line("evaluation", row))

    def evaluations(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Appends rows that are known already, which are on disk at its end, not one by one."""
        self._write(b"".join([self._line("evaluation", row) for row in rows]))

    def end(self, **result: Any) -> None:
        """Appends the last line. Without it the run counts as cut off."""
        self._write(self._line("end", result))
        self._ended = True

    def fail(self, error: Exception) -> None:
        """Appends the last line of a run that an error ended."""
        self.end(status=FAILED, reason=format_error(error))

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._stack:
            # Ctrl-C and preemption, which are no Exceptions, only interrupt a run. After an OSError
            # the line could probably not be written.
            if isinstance(error, Exception) and not isinstance(error, OSError) and not self._ended:
                self.fail(error)

    def _line(self, kind: str, content: Mapping[str, Any]) -> bytes:
        entry = {"kind": kind, **content}
        self._checksum = checksum(entry, self._checksum)
        return (json.dumps({**entry, "crc32": self._checksum}) + "\n").encode()

    def _write(self, lines: bytes) -> None:
        if self._is_torn:
            raise OSError(self._failure("a line before this one could not be written"))
        self._is_torn = True
        try:
            # An unbuffered write to a disk that is almost full writes a part without an error.
            written = self._file.write(lines)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(self._failure(explain(error))) from error
        if written < len(lines):
            raise OSError(self._failure("the disk is full"))
        self._is_torn = False

    def _failure(self, cause: object) -> str:
        return (
            f"cannot write to {self._path}: {cause}. The lines before are kept; make room and run "
            "the same command again."
        )


def _opened(path: Path) -> BinaryIO:
    """Opens a record to write it anew."""
    try:
        # Unbuffered: closing a buffered file would try to write a line that failed once more.
        return cast("BinaryIO", path.open("wb", buffering=0))
    except OSError as error:
        raise OSError(f"cannot write {path}: {explain(error)}.") from error


def format_error(error: Exception) -> str:
    """Returns the type of an error and the first line of its message.

    Example:
        >>> from jaxsched.tracking import format_error
        >>> format_error(MemoryError("no room\\nfor it"))
        'MemoryError: no room'
    """
    lines = visible(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
