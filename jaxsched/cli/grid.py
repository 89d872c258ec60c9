"""`jaxsched grid`: values tried in short runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.options import end_if_told, options_of
from jaxsched.cli.printing import say
from jaxsched.experiment import Experiment
from jaxsched.train import SignalHandler


@dataclass(frozen=True)
class Grid:
    """Tries values of weight decay, momentum and others in short runs, alone or crossed.

    Judged by the loss on held-out training images: a table, a picture and JSON. Any field of the
    experiment can be set after the config file. After an interrupt the same command goes on.
    """

    config: tyro.conf.Positional[Path]
    """A Python file that holds an Experiment under the name `experiment`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; `rest` are its options and the fields of its experiment."""
        options = options_of(self.config, rest, GridOptions, "grid")
        grid = tune.Grid(
            experiment=options.experiment,
            axes=options.axes,
            epochs=options.epochs,
            seeds=options.seeds,
            from_snapshot=options.from_snapshot,
            refine=options.refine,
        )
        source_text = self.config.read_text(encoding="utf-8")
        runs = tune.GridRuns(grid, options.workdir, source_text=source_text)
        try:
            with tracking.Progress(console) as progress, SignalHandler() as signals:
                runs.run(progress, choice=options.at_once, check=lambda: end_if_told(signals))
        finally:
            if runs.runs():
                report = tune.write_grid_report(runs)
                console.print(report.table)
                for statement in report.statements:
                    say(statement, console)
                say(f"table, picture and records in {runs.folder}", console)


@dataclass(frozen=True)
class GridOptions:
    """Tries values of weight decay, momentum and others in short runs, alone or crossed."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: Path = Path("runs/grid")
    """Records, table and picture are written to a folder of the experiment's name in here."""
    weight_decay: tuple[float, ...] = ()
    """Values to try; those of several options are crossed."""
    momentum: tuple[float, ...] = ()
    """Likewise, in place of the experiment's schedule."""
    lr: tuple[float, ...] = ()
    """Likewise, the highest learning rate of the experiment's schedule."""
    dropout: tuple[float, ...] = ()
    """Likewise, of a network that has dropout."""
    batch_size: tuple[int, ...] = ()
    """Likewise; compared at equal epochs and at equal training time."""
    epochs: float = 2.0
    """How long each run trains; its schedules stretch with it where their times are in per cent."""
    seeds: tuple[int, ...] = (0,)
    """One run each; the experiment's own is not looked at."""
    refine: int = 0
    """How many times the values halfway between the best and its neighbours are tried as well."""
    from_snapshot: float | None = None
    """Train the middle values for so many epochs first, and go on from there with each value."""
    at_once: tune.StrategyChoice = "auto"
    """How many run at once: "in_turn", one a device ("devices"), or side by side on a device
    ("vmap"); by default the fastest."""

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """The values by name, of the options that were given."""
        names = ("weight_decay", "momentum", "lr", "dropout", "batch_size")
        given = {name: getattr(self, name) for name in names}
        return {name: values for name, values in given.items() if values}
