"""Logs a run for TensorBoard, live."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsched.extras import require_extra
from jaxsched.output import make_folder
from jaxsched.tracking.config_entries import config_entries
from jaxsched.tracking.loggers.events import EventFile
from jaxsched.tracking.loggers.logger import Logger


class TensorBoard(Logger):
    """Writes event files that `tensorboard --logdir` shows while the run goes on.

    Each evaluation is in the file when the run continues. A run that is resumed begins a file of
    its own with all rows so far and lets TensorBoard forget the earlier ones, so that no point is
    there twice and none is missing.

    Args:
        folder: the folder of this run alone, by whose name TensorBoard calls it.

    Raises:
        ImportError: when tensorboardX is missing; names the extra that brings it.

    Example: `jaxsched train CONFIG --log tensorboard`.
    """

    def __init__(self, folder: Path):
        require_extra("Logging for TensorBoard", "tensorboard", "tensorboardX")
        self._folder = folder

    def start(self, header: Mapping[str, Any]) -> None:
        """Begins a file, after those of earlier starts in the order of names."""
        make_folder(self._folder)
        path = self._folder / f"events.out.tfevents.{time.time_ns()}.jaxsched"
        self._file = EventFile(path, header)
        self._file.forget_earlier()
        self._file.hyperparameters(dict(config_entries(header["config"])))
        config = json.dumps(header["config"], indent=1)
        self._file.text("run", f"`{header['command']}`\n\n```json\n{config}\n```")
        self._file.flush()

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Writes the row's points."""
        self._file.evaluation(row)
        self._file.flush()

    def end(self, status: str, reason: str) -> None:
        """Writes how the run ended."""
        self._file.text("end", reason or status)
        self._file.close()
