"""Logs a run to Weights & Biases."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsched.extras import require_extra
from jaxsched.output import make_folder, write_text
from jaxsched.tracking.loggers.logger import Logger
from jaxsched.tracking.loggers.scalars import scalars_of

_ID_FILE = "wandb_id.txt"


class WeightsAndBiases(Logger):
    """Sends a run's config, curves and end to Weights & Biases.

    Its own variables decide the rest: `WANDB_MODE=offline` writes to the folder, for `wandb sync`,
    and `WANDB_PROJECT`, by default jaxsched, is the project. Runs are grouped by the experiment's
    name. A run that is resumed keeps its id, which is in the file `wandb_id.txt` of the folder.

    Args:
        folder: the folder of this run alone.

    Raises:
        ImportError: when wandb is missing; names the extra that brings it.

    Example: `WANDB_MODE=offline jaxsched train CONFIG --log wandb`.
    """

    def __init__(self, folder: Path):
        require_extra("Logging to Weights & Biases", "wandb", "wandb")
        self._folder = folder

    def start(self, header: Mapping[str, Any]) -> None:
        """Begins the run, or goes on with the one of this folder."""
        import wandb

        make_folder(self._folder)
        self._header = header
        self._run = wandb.init(
            id=self._id(header.get("resumed_at") is not None),
            resume="allow",
            project=os.environ.get("WANDB_PROJECT") or "jaxsched",
            name=f"{header['name']}, seed {header['seed']}",
            group=header["name"],
            config=dict(header["config"]),
            dir=str(self._folder),
            reinit="create_new",  # a study makes several runs in one process
            settings=wandb.Settings(console="off"),  # it would redirect the progress bar
        )

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Sends a row, unless it was sent before the run was resumed."""
        if row["step"] >= self._run.step:
            self._run.log(scalars_of(row, self._header), step=row["step"])

    def end(self, status: str, reason: str) -> None:
        """Ends the run; one that did not come to its end counts as failed there."""
        self._run.summary.update({"status": status, "reason": reason})
        self._run.finish(exit_code=0 if status in ("finished", "stopped") else 1)

    def _id(self, is_resumed: bool) -> str:
        """The id of the folder's run, or of a new one."""
        path = self._folder / _ID_FILE
        if not (is_resumed and path.exists()):
            write_text(path, secrets.token_hex(4))
        return path.read_text(encoding="utf-8").strip()
