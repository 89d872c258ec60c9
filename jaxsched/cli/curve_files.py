"""Keeps the curves of a run in its folder, as a picture and as numbers."""

import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxsched.experiment import Experiment, Preview
from jaxsched.output import make_folder
from jaxsched.plan import Plan
from jaxsched.plotting.run_curves import draw_run
from jaxsched.tracking import Logger, Record
from jaxsched.tracking.evaluation_csv import evaluation_columns, write_csv

# The devices wait while files are written, so that this takes at most a fiftieth of the time. It is
# neither training nor evaluation for the record.
_SHARE = 1 / 50
_FIRST_SECONDS = 0.6  # of writing, as long as it has not been measured
_PICTURE, _TABLE = "curves.png", "evaluations.csv"


def curves_in(folder: Path) -> Path:
    """Returns the file of a run's folder that shows its curves: the picture, or else the table."""
    picture = folder / _PICTURE
    return picture if picture.exists() else folder / _TABLE


class CurveFiles(Logger):
    """Writes `evaluations.csv` and `curves.png`, again and again while the run goes on.

    They are written after an evaluation when enough time has passed since the last time, and at the
    end, whatever it was.

    Args:
        folder: the run's folder.
        experiment: the run's experiment.
        plan: its plan.
        say: is called with a sentence when there will be no picture.
    """

    def __init__(
        self, folder: Path, experiment: Experiment, plan: Plan, say: Callable[[str], None]
    ):
        self._folder, self._experiment, self._plan = folder, experiment, plan
        self._rows: list[Mapping[str, Any]] = []
        self._draws = importlib.util.find_spec("matplotlib") is not None
        if not self._draws:
            say(
                f"{folder / _TABLE} will hold the curves; a picture of them needs matplotlib, "
                "which the extra [plot] brings: pip install 'jaxsched[plot]'"
            )

    def start(self, header: Mapping[str, Any]) -> None:
        """Makes the folder."""
        make_folder(self._folder)
        self._header, self._seconds = header, _FIRST_SECONDS
        self._written = time.monotonic()
        self._planned = Preview.of(self._experiment, self._plan) if self._draws else None

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Adds a row, and writes all of them when it is time."""
        self._rows.append(row)
        if time.monotonic() - self._written > self._seconds / _SHARE:
            self._write(f"at update {row['step']:,} of {self._plan.total_steps:,}")

    def end(self, status: str, reason: str) -> None:
        """Writes all rows."""
        if self._rows:
            self._write(reason or status)

    def _write(self, how_far: str) -> None:
        begin = time.monotonic()
        columns = evaluation_columns([Record(self._header, tuple(self._rows), None)])
        write_csv(self._folder / _TABLE, columns, self._rows)
        if self._draws:
            name, seed = self._experiment.name, self._header["seed"]
            draw_run(
                self._rows,
                self._experiment.task.main_metric,
                self._folder / _PICTURE,
                heading=f"{name}, seed {seed}: {how_far}",
                planned=self._planned,
            )
        self._written = time.monotonic()
        self._seconds = self._written - begin
