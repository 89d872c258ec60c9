"""The runs of a grid and of its refinement, and their results so far."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsched.output import require_file_name
from jaxsched.tracking import Progress, Record, claim_runs, plan_for, read_records, record_path
from jaxsched.train import Member
from jaxsched.train.population.strategy import StrategyChoice
from jaxsched.tune.execution.runner import Runner
from jaxsched.tune.execution.snapshots import Snapshots
from jaxsched.tune.grid.equal_time import epochs_at_equal_time
from jaxsched.tune.grid.grid import Cell, Grid
from jaxsched.tune.grid.ranking import Result, cell_result, has_diverged, rank_cells


class CellRuns(NamedTuple):
    """A cell with the records of its finished runs."""

    cell: Cell
    records: Sequence[Record]


class GridRuns:
    """The runs of a grid, in a folder.

    Runs with a finished record are not made again: after an interrupt the same grid goes on, and a
    grid with more values or seeds makes only the new runs.

    Args:
        grid: the grid to run.
        folder: the records are written to a folder of the experiment's name in here.
        source_text: the text of the config file.

    Attributes:
        folder: the folder of this experiment.
        cells: the cells so far; a refinement adds to them.

    Raises:
        ValueError: when a cell's experiment does not fit its data.
    """

    def __init__(self, grid: Grid, folder: Path, *, source_text: str):
        self.grid, self.cells = grid, grid.cells()
        self.folder = folder / require_file_name("an experiment", grid.experiment.name)
        self._source_text, self._records = source_text, self.folder / "records"
        for cell in self.cells:
            plan_for(cell.experiment)
        self._snapshots = None
        if grid.from_snapshot is not None:
            middle = grid.middle().experiment
            name = f"from-{middle.name}-{middle.digest()}-epoch{grid.from_snapshot:g}"
            # Their experiments may equal those of a grid without a snapshot, but their runs do not.
            self._records = self.folder / name
            self._snapshots = Snapshots(middle, grid.from_snapshot, self._records / "snapshots")

    def run(
        self,
        progress: Progress,
        *,
        choice: StrategyChoice = "auto",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the missing runs; batch sizes one after another, so that their times compare.

        Batch sizes are then trained once more, each for as many epochs as take equal time.

        Args:
            progress: shows the progress.
            choice: how the runs share the devices, see `prepare`.
            check: is called about once a second; an exception from it ends the runs.

        Raises:
            BlockingIOError: when another process makes runs in this folder.
            ValueError: when the runs cannot be made by the chosen strategy, or were made with other
                data.
        """
        if self.grid.compares_time and choice not in ("auto", "in_turn", 1):
            raise ValueError(
                "batch sizes are also compared at equal time, for which each has to run by itself, "
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
        # Held from the first run to the last, so that no other command starts between two of them.
        with claim_runs(self._records):
            runner.run(self._members(self.cells))
            for _ in range(self.grid.refine):
                advised = rank_cells(self.results()).advised
                best = None if advised is None else self._cell(advised)
                added = [] if best is None else self.grid.refined(self.cells, best)
                self.cells += added
                runner.run(self._members(added))
            if self.grid.compares_time:
                runner.run(self._members(self.equal_time_cells()))

    def runs(self) -> list[CellRuns]:
        """Returns the cells that have finished runs, each with the records of those."""
        cells = [CellRuns(cell, self._finished(cell)) for cell in self.cells]
        return [runs for runs in cells if runs.records]

    def equal_time_cells(self) -> list[Cell]:
        """Returns the cells with as many epochs as take equal time, by the runs that finished."""
        seconds: dict[tuple[Any, ...], list[float]] = {}
        for (values, _), records in self.runs():
            times = [r.evaluations[-1]["train_seconds"] for r in records if not has_diverged(r)]
            seconds.setdefault(self.grid.batch_sizes(values), []).extend(times)
        epochs = epochs_at_equal_time(seconds, self.grid.epochs)
        sizes = {size: number for size, number in epochs.items() if number > 0}
        return [
            self.grid.cell(cell.values, sizes[self.grid.batch_sizes(cell.values)])
            for cell in self.cells
            if self.grid.batch_sizes(cell.values) in sizes
        ]

    def equal_time_runs(self) -> list[CellRuns]:
        """Returns the cells of equal time that have finished runs, with the records of those."""
        cells = [CellRuns(cell, self._finished(cell)) for cell in self.equal_time_cells()]
        return [runs for runs in cells if runs.records]

    def unreadable(self) -> list[str]:
        """Returns for each record that cannot be read the reason, with its path."""
        paths = [self.path(cell, seed) for cell in self.cells for seed in self.grid.seeds]
        return read_records(paths)[1]

    def results(self) -> list[Result]:
        """Returns the results of the cells that have finished runs."""
        return [cell_result(runs.cell.values, runs.records) for runs in self.runs()]

    def path(self, cell: Cell, seed: int) -> Path:
        """Returns the path of a run's record."""
        return record_path(self._records, cell.experiment, seed)

    def _members(self, cells: Sequence[Cell]) -> list[Member]:
        return [Member(cell.experiment, seed) for seed in self.grid.seeds for cell in cells]

    def _finished(self, cell: Cell) -> list[Record]:
        records, _ = read_records(self.path(cell, seed) for seed in self.grid.seeds)
        return [record for record in records if record.is_complete]

    def _cell(self, result: Result) -> Cell:
        return next(cell for cell in self.cells if cell.values == result.values)
