"""`jaxsched grid`: hyper-parameters tried in short runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxsched import tune
from jaxsched.cli.options import AtOnce, ExperimentCommand, checked_plan, progress_until_signal
from jaxsched.cli.paths import UserPath
from jaxsched.cli.printing import print_line
from jaxsched.cli.reporting import reported
from jaxsched.experiment import Experiment


@dataclass(frozen=True)
class Grid(ExperimentCommand):
    """Tries values of weight decay, momentum and others in short runs, alone or crossed.

    The values are ranked by the loss on held-out training images. Writes a table, a plot and JSON.
    After an interrupt the same command goes on. Options and any field of the experiment come after
    the config file; `jaxsched grid CONFIG --help` lists them.
    """

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command; `rest` holds its options and fields of its experiment."""
        options = self.parse(rest, GridOptions, "grid")
        checked_plan(options.experiment)
        grid = tune.Grid(
            experiment=options.experiment,
            axes=options.axes,
            epochs=options.epochs,
            seeds=options.seeds,
            from_snapshot=options.from_snapshot,
            refine=options.refine,
        )
        for cell in grid.cells():  # before the first of them is trained
            checked_plan(cell.experiment)
        runs = tune.GridRuns(grid, options.workdir, source_text=self.source_text)
        with (
            reported(lambda: _report(runs, console)),
            progress_until_signal(console) as (progress, check),
        ):
            runs.run(progress, choice=options.at_once, check=check)


def _report(runs: tune.GridRuns, console: Console) -> None:
    if runs.runs():
        report = tune.write_grid_report(runs)
        console.print(report.table)
        for statement in report.statements:
            print_line(statement, console)
        print_line(f"table, plot and records in {runs.folder}", console)


@dataclass(frozen=True)
class GridOptions:
    """The options of `jaxsched grid` after the config file."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: UserPath = Path("runs/grid")
    """Records, table and plot are written to a folder of the experiment's name in here."""
    weight_decay: tuple[float, ...] = ()
    """Weight decays to try; the values of several options are crossed."""
    momentum: tuple[float, ...] = ()
    """Constant momenta to try, in place of the experiment's schedule."""
    lr: tuple[float, ...] = ()
    """Learning rates to try: each is the highest value of the experiment's schedule."""
    dropout: tuple[float, ...] = ()
    """Dropout rates to try, for a network that has dropout."""
    batch_size: tuple[int, ...] = ()
    """Batch sizes to try, compared at equal epochs and at equal training time."""
    epochs: float = 2.0
    """How many epochs each run trains; times of its schedules in per cent stretch with it."""
    seeds: tuple[int, ...] = (0,)
    """One run for each seed; the experiment's own seed is not used."""
    refine: int = 0
    """How many times to add the values halfway between the best one and its neighbours."""
    from_snapshot: float | None = None
    """Train the middle values for this many epochs first, and start each value's run from there."""
    at_once: AtOnce = "auto"

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """The values of the options that were given, by name."""
        names = ("weight_decay", "momentum", "lr", "dropout", "batch_size")
        given = {name: getattr(self, name) for name in names}
        return {name: values for name, values in given.items() if values}
