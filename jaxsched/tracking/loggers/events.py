"""TensorBoard's events of a run, for event files that are written live or from records."""

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxsched.extras import require_extra
from jaxsched.tracking.loggers.scalars import scalars_of


class EventFile:
    """Writes a run's events to a file.

    It writes by itself, where tensorboardX's `SummaryWriter` has a thread: an error, such as a full
    disk, is raised here instead of leaving a writer that waits for ever.

    Args:
        path: the file to write, with `tfevents` in its name, by which TensorBoard finds it.
        header: the header of the run's record.

    Raises:
        ImportError: when tensorboardX is missing; names the extra that brings it.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]):
        require_extra("Writing event files", "tensorboard", "tensorboardX")
        from tensorboardX.record_writer import RecordWriter

        self._header = header
        self._started = datetime.datetime.fromisoformat(header["started"]).timestamp()
        self._writer = RecordWriter(str(path))
        self._write(wall_time=self._started, file_version="brain.Event:2")

    def forget_earlier(self) -> None:
        """Lets TensorBoard forget what earlier files of the folder say of the run."""
        from tensorboardX.proto.event_pb2 import SessionLog  # pyright: ignore

        log = SessionLog(status=SessionLog.START)
        self._write(wall_time=self._started, step=0, session_log=log)

    def hyperparameters(self, entries: Mapping[str, Any]) -> None:
        """Writes the run's entries of the table of hyper-parameters."""
        from tensorboardX.summary import hparams

        # The first of the three declares the table's columns, but only those of this run. Without
        # it TensorBoard collects the columns of all runs.
        _, summary, _ = hparams(dict(entries), {})
        self._write(wall_time=self._started, summary=summary)

    def text(self, tag: str, text: str) -> None:
        """Writes a text in Markdown."""
        from tensorboardX.summary import text as text_summary

        self._write(wall_time=self._started, summary=text_summary(tag, text))

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Writes the points of a row, at its update count.

        Their wall time is the run's start plus the seconds of training and evaluation until then,
        as if the run had never been resumed.
        """
        seconds = row.get("train_seconds", 0.0) + row.get("evaluation_seconds", 0.0)
        values = scalars_of(row, self._header).items()
        self._write(
            wall_time=self._started + seconds,
            step=row["step"],
            summary={"value": [{"tag": tag, "simple_value": value} for tag, value in values]},
        )

    def _write(self, **event: Any) -> None:
        # Protobuf creates this class on import, where no type checker can see it.
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

        with self._closed_on_error():
            self._writer.write(Event(**event).SerializeToString())

    def flush(self) -> None:
        """Puts all events so far on disk."""
        with self._closed_on_error():
            self._writer.flush()

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Context manager: closes a file that cannot be written, which is not written to again."""
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):  # closing tries once more to write what is left
                self._writer.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
