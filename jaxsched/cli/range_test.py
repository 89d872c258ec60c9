"""`jaxsched range-test`: which learning rates the losses suggest."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.options import end_if_told, options_of
from jaxsched.cli.printing import print_plan
from jaxsched.experiment import Experiment
from jaxsched.train import SignalHandler


@dataclass(frozen=True)
class RangeTest:
    """Raises the learning rate update by update and says which rates the losses suggest.

    By several named rules, over several seeds: a table, a picture and JSON. Any field of the
    experiment can be set after the config file. After an interrupt the same command goes on.
    """

    config: tyro.conf.Positional[Path]
    """A Python file that holds an Experiment under the name `experiment`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; `rest` are its options and the fields of its experiment."""
        options = options_of(self.config, rest, RangeTestOptions, "range-test")
        runs = tune.RangeTestRuns(
            options.experiment,
            tracking.load(options.experiment.data),
            _range(options),
            options.workdir,
            source_text=self.config.read_text(encoding="utf-8"),
        )
        print_plan(runs.experiment, tracking.plan_for(runs.experiment), console)
        try:
            with tracking.Progress(console) as progress, SignalHandler() as signals:
                runs.run(progress, choice=options.at_once, check=lambda: end_if_told(signals))
        finally:
            if curves := list(runs.curves.values()):
                name = options.experiment.name
                print(tune.write_range_report(name, runs.test, curves, runs.folder))
                print(f"curves, table and picture in {runs.folder}")


@dataclass(frozen=True)
class RangeTestOptions:
    """Raises the learning rate update by update and says which rates the losses suggest."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: Path = Path("runs/range-test")
    """Curves, table and picture are written to a folder of the experiment's name in here."""
    momentum: bool = False
    """Raise the momentum instead, by default from 0.7 to 1 on a linear axis."""
    low: float | None = None
    """The first value; by default 1e-4."""
    high: float | None = None
    """The last value; by default 10. A run ends before it where it diverges."""
    updates: int = 200
    """How many updates a run has."""
    axis: Literal["log", "linear"] | None = None
    """How the values are spaced; by default "log"."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run each; the experiment's own is not looked at."""
    at_once: tune.StrategyChoice = "auto"
    """How many run at once: "in_turn", one a device ("devices"), or side by side on a device
    ("vmap"); by default the fastest."""


def _range(options: RangeTestOptions) -> tune.RangeTest:
    """What is raised, from where to where."""
    test = tune.MOMENTUM_RANGE if options.momentum else tune.RangeTest()
    given = {"low": options.low, "high": options.high, "axis": options.axis}
    return dataclasses.replace(
        test,
        num_updates=options.updates,
        seeds=options.seeds,
        **{name: value for name, value in given.items() if value is not None},
    )
