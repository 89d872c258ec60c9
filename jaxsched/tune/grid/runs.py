"""The runs of a grid, round by round of its refinement, and what they say so far."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsched.tracking import Progress, Record, plan_for, read_record, record_path
from jaxsched.train import Member
from jaxsched.tune.execution.runner import Runner
from jaxsched.tune.execution.snapshots import Snapshots
from jaxsched.tune.execution.strategy import StrategyChoice
from jaxsched.tune.grid.grid import Cell, Grid
from jaxsched.tune.grid.ranking import Result, rank_cells, result


class CellRuns(NamedTuple):
    """A cell with the records of its runs that came to their end."""

    cell: Cell
    records: Sequence[Record]


class GridRuns:
    """The runs of a grid, in a folder.

    Runs on record are not made again: after an interrupt the same grid goes on, and one with more
    values or seeds makes those alone.

    Args:
        grid: what to run.
        folder: a folder of the experiment's name in it takes the records.
        source_text: of the config file.

    Attributes:
        folder: of this experiment.
        cells: so far; a refinement adds to them.

    Raises:
        ValueError: when a cell's experiment does not fit its data.
    """

    def __init__(self, grid: Grid, folder: Path, *, source_text: str):
        self.grid, self.cells = grid, grid.cells()
        self.folder = folder / grid.experiment.name
        self._source_text, self._records = source_text, self.folder / "records"
        for cell in self.cells:
            plan_for(cell.experiment)
        self._snapshots = None
        if grid.from_snapshot is not None:
            middle = grid.middle().experiment
            name = f"from-{middle.name}-{middle.digest()}-epoch{grid.from_snapshot:g}"
            # Runs from another state are other runs, though their experiments be the same.
            self._records = self.folder / name
            self._snapshots = Snapshots(middle, grid.from_snapshot, self._records / "snapshots")

    def run(
        self,
        progress: Progress,
        *,
        choice: StrategyChoice = "auto",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the runs that are missing; batch sizes in turn, so that their times compare.

        Args:
            progress: what shows how far it is.
            choice: how many run at once, see `prepare`.
            check: is called about once a second; what it raises ends the runs.

        Raises:
            ValueError: when the chosen way cannot run them.
        """
        if self.grid.compares_time and choice not in ("auto", "in_turn"):
            raise ValueError(
                f"batch sizes are compared at equal time too, for which each has to run by itself, "
                f"got at_once={choice!r}; use 'in_turn'."
            )
        runner = Runner(
            self._records,
            source_text=self._source_text,
            progress=progress,
            choice="in_turn" if self.grid.compares_time else choice,
            check=check,
            snapshots=self._snapshots,
        )
        runner.run(self._members(self.cells))
        for _ in range(self.grid.refine):
            taken = rank_cells(self.results()).advised
            added = [] if taken is None else self.grid.refined(self.cells, self._cell(taken))
            self.cells += added
            runner.run(self._members(added))

    def runs(self) -> list[CellRuns]:
        """The cells that have a finished run, each with those."""
        found = [CellRuns(cell, self._finished(cell)) for cell in self.cells]
        return [runs for runs in found if runs.records]

    def results(self) -> list[Result]:
        """What the finished runs say."""
        return [result(runs.cell.values, runs.records) for runs in self.runs()]

    def path(self, cell: Cell, seed: int) -> Path:
        """Of the record of a run."""
        return record_path(self._records, cell.experiment, seed)

    def _members(self, cells: Sequence[Cell]) -> list[Member]:
        return [Member(cell.experiment, seed) for seed in self.grid.seeds for cell in cells]

    def _finished(self, cell: Cell) -> list[Record]:
        paths = [self.path(cell, seed) for seed in self.grid.seeds]
        records = [read_record(path) for path in paths if path.exists()]
        return [record for record in records if record.is_complete]

    def _cell(self, of: Result) -> Cell:
        return next(cell for cell in self.cells if cell.values == of.values)
