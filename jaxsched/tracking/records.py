"""Records: a JSON-lines file for each run, from which all tables and plots are made.

Each line has a checksum over itself and all lines before it, so that none can be changed, left out,
doubled or moved unnoticed. Imports no JAX.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.metric import Metric
from jaxsched.output import require_file_name
from jaxsched.text import visible
from jaxsched.tracking.fields import IMAGE_METRICS, check_fields
from jaxsched.tracking.known_metrics import metric_of

FAILED = "failed"
# The number of the records' format. Those before 2 have neither a number nor checksums.
FORMAT = 2


@dataclass(frozen=True)
class Record:
    """The content of a run's record.

    Attributes:
        header: the experiment's name, digest and config, the seed, the fingerprint of the data, the
            metrics, the source text and the environment.
        evaluations: the rows, in order; see `jaxsched.train.Evaluation`. A number that is not
            finite is text, such as "nan", because JSON has none.
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
    def columns(self) -> tuple[str, ...]:
        """The columns of metrics that its evaluations have, such as `test_loss`."""
        found = dict.fromkeys(column for row in self.evaluations for column in row)
        return tuple(column for column in found if self.metric(column) is not None)

    @property
    def main_column(self) -> str:
        """The column by which its experiment is judged unless a study says otherwise.

        If the header names no main metric, it is the first one on test examples that is no loss.
        """
        if "metrics" not in self.header or "main_metric" in self.header:
            return f"test_{self.header.get('main_metric', 'accuracy')}"
        on_test = [column for column in self.columns if column.startswith("test_")] or self.columns
        others = [column for column in on_test if not column.endswith("loss")]
        return (others or [*on_test, "test_loss"])[0]

    def metric(self, column: str) -> Metric | None:
        """Returns the metric of a column, under the column's name; None if it is none's."""
        return metric_of(column, self.header.get("metrics", IMAGE_METRICS))

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


def is_complete(path: Path) -> bool:
    """Returns whether a file holds a finished run, which is not made again."""
    return path.exists() and read_record(path).is_complete


def refuse_finished(path: Path) -> None:
    """Raises a FileExistsError when the file holds a finished run, which must not be lost."""
    if is_complete(path):
        raise FileExistsError(
            f"{path} holds a finished run; move it away, with the folder {path.stem} beside it, "
            "to run the experiment again, or use another workdir."
        )


def read_records(paths: Iterable[Path]) -> tuple[list[Record], list[str]]:
    """Reads the records among these paths that exist.

    Returns:
        The records that can be read, and for each of the others the reason, with its path.
    """
    records, reasons = [], []
    for path in paths:
        try:
            if path.exists():
                records.append(read_record(path))
        except (ValueError, OSError) as error:
            reasons.append(str(error))
    return records, reasons


def read_record(path: Path) -> Record:
    """Reads a record. A last line that was cut off in the middle is left out.

    An editor's marks do not matter: a byte order mark, empty lines and the ends of lines.

    Raises:
        ValueError: when the file is no record, is damaged, or lacks a field; the message names the
            line.
        OSError: when it cannot be read.
    """
    lines = _lines(path)
    kinds = [line.content["kind"] for line in lines]
    has_end = kinds[-1:] == ["end"]
    between = kinds[1:-1] if has_end else kinds[1:]
    if kinds[:1] not in ([], ["run"]) or any(kind != "evaluation" for kind in between):
        shown = f"{kinds[:5]} and {len(kinds) - 5} more" if len(kinds) > 5 else str(kinds)
        raise ValueError(
            f"{path}: expected a line 'run', lines 'evaluation' and a line 'end', got {shown}; "
            "move the file away to run the experiment again."
        )
    _require_readable_format(path, lines)
    _require_checksums(path, lines)
    _require_fields(path, lines)
    contents = [_visible(line.content) for line in lines]
    rows = contents[1:-1] if has_end else contents[1:]
    return Record(
        header=contents[0] if contents else {},
        evaluations=tuple(rows),
        end=contents[-1] if has_end else None,
    )


def checksum(entry: Mapping[str, Any], before: int) -> int:
    """Returns the checksum of a line.

    Args:
        entry: the content of the line, without its checksum.
        before: the checksum of the line before; 0 for the first.
    """
    return zlib.crc32(json.dumps(entry).encode(), before)


@dataclass(frozen=True)
class _Line:
    """A line of a record, as it was read."""

    number: int  # counted from 1
    content: dict[str, Any]
    crc32: int | None  # None in records from before checksums


def _lines(path: Path) -> list[_Line]:
    try:
        texts = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected a record in UTF-8 ({error.reason} at byte {error.start}); save it "
            "as UTF-8, or move the file away to run the experiment again."
        ) from error
    lines = []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            content = json.loads(text)
            crc32 = content.pop("crc32", None)
            content["kind"].split()  # which only a text has
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            if number == len(texts):  # only a line that was cut off has no newline
                break
            raise ValueError(
                f"{path}, line {number}: expected a record's line, JSON with a 'kind', got "
                f"{text[:40]!r}; move the file away to run the experiment again."
            ) from error
        lines.append(_Line(number, content, crc32))
    return lines


def _require_readable_format(path: Path, lines: Sequence[_Line]) -> None:
    number = lines[0].content.get("format", 1) if lines else FORMAT
    if number not in range(1, FORMAT + 1):
        raise ValueError(
            f"{path}: expected a record of format {FORMAT} or older, got format {number!r:.20}; "
            "update jaxsched to read it."
        )


def _require_checksums(path: Path, lines: Sequence[_Line]) -> None:
    """Raises a ValueError unless each line is where it was written, with what was written."""
    is_old = not lines or "format" not in lines[0].content
    if is_old and all(line.crc32 is None for line in lines):
        return
    expected = 0
    for line in lines:
        expected = checksum(line.content, expected)
        if line.crc32 != expected:
            raise ValueError(
                f"{path}, line {line.number}: it differs from what was written, or a line before "
                "it was left out, doubled or moved; restore the file from a copy, or move it away "
                "to run the experiment again."
            )


def _require_fields(path: Path, lines: Sequence[_Line]) -> None:
    step = 0
    for line in lines:
        try:
            check_fields(line.content["kind"], line.content, lines[0].content)
            if line.content["kind"] == "evaluation":
                if line.content["step"] <= step:
                    raise ValueError(f"expected a step after {step}, got {line.content['step']}")
                step = line.content["step"]
        except ValueError as error:
            raise ValueError(
                f"{path}, line {line.number}: {error}; move the file away to run the experiment "
                "again."
            ) from error


def _visible(value: Any) -> Any:
    """The JSON without characters that command a terminal: a record may be another's."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(name): _visible(entry) for name, entry in value.items()}
    return [_visible(entry) for entry in value] if isinstance(value, list) else value


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
        """The file name of the run's record; it cannot lead to another folder.

        Raises:
            ValueError: when the name leads to another folder, or is too long for a file system.
        """
        name = f"{self.name}-{self.digest}-seed{self.seed}.jsonl"
        return require_file_name(f"the record of the experiment {self.name[:40]!r}", name)
