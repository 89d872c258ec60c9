"""Tells a run's loggers about it; none of them can end the run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxsched.tracking.loggers.logger import Logger
from jaxsched.tracking.record_writer import format_error


class LoggedRun:
    """Context manager: tells loggers about a run until the end of its block.

    A logger that raises, as on a full disk or without a network, is told no more. That is said
    once, and the run and the other loggers go on.

    Args:
        loggers: the loggers.
        header: the first line of the run's record.
        warn: is called with a sentence about a logger that failed. By default Python's `logging`
            prints it.
    """

    def __init__(
        self,
        loggers: Sequence[Logger],
        header: Mapping[str, Any],
        warn: Callable[[str], None] | None = None,
    ):
        self._loggers, self._header = list(loggers), header
        self._warn = warn or logging.getLogger("jaxsched").warning
        self._has_ended = False

    def __enter__(self) -> "LoggedRun":
        self._tell(lambda logger: logger.start(self._header))
        return self

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Tells a row."""
        self._tell(lambda logger: logger.evaluation(row))

    def end(self, status: str, reason: str) -> None:
        """Tells the end of the run. An error, or an interrupt, that ends the block is told too."""
        self._has_ended = True
        self._tell(lambda logger: logger.end(status, reason))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not self._has_ended and isinstance(error, Exception):
            self.end("failed", format_error(error))
        elif not self._has_ended:
            self.end("interrupted", str(error or ""))

    def _tell(self, what: Callable[[Logger], None]) -> None:
        for logger in list(self._loggers):
            try:
                what(logger)
            except Exception as error:
                self._loggers.remove(logger)
                name, seed = self._header["name"], self._header["seed"]
                self._warn(
                    f"{name}, seed {seed} goes on without {type(logger).__name__}, which failed: "
                    f"{format_error(error)}"
                )
