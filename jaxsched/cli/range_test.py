"""`jaxsched range-test`: which learning rates the losses suggest."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.options import AtOnce, ExperimentCommand, checked_plan, progress_until_signal
from jaxsched.cli.paths import UserPath
from jaxsched.cli.printing import print_plan
from jaxsched.cli.reporting import reported
from jaxsched.experiment import Experiment


@dataclass(frozen=True)
class RangeTest(ExperimentCommand):
    """Raises the learning rate update by update and reports the learning rates to use.

    Several named rules are applied to the losses of several seeds. Writes a table, a plot and JSON.
    After an interrupt the same command goes on. Options and any field of the experiment come after
    the config file; `jaxsched range-test CONFIG --help` lists them.
    """

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command; `rest` holds its options and fields of its experiment."""
        options = self.parse(rest, RangeTestOptions, "range-test")
        checked_plan(options.experiment)
        runs = tune.RangeTestRuns(
            options.experiment,
            tracking.load(options.experiment.task.data),
            options.range_test,
            options.workdir,
            source_text=self.source_text,
        )
        print_plan(runs.experiment, tracking.plan_for(runs.experiment), console)
        name = options.experiment.name
        with (
            reported(lambda: _report(name, runs)),
            progress_until_signal(console) as (progress, check),
        ):
            runs.run(progress, choice=options.at_once, check=check)


def _report(name: str, runs: tune.RangeTestRuns) -> None:
    if curves := list(runs.curves.values()):
        print(tune.write_range_report(name, runs.test, curves, runs.folder))
        print(f"curves, table and plot in {runs.folder}")


@dataclass(frozen=True)
class RangeTestOptions:
    """The options of `jaxsched range-test` after the config file."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: UserPath = Path("runs/range-test")
    """Curves, table and plot are written to a folder of the experiment's name in here."""
    momentum: bool = False
    """Raise the momentum instead, by default from 0.7 to 1 on a linear axis."""
    low: float | None = None
    """The first value; by default 1e-4."""
    high: float | None = None
    """The last value; by default 10. A run that diverges ends before it."""
    updates: int = 200
    """The number of updates of a run."""
    axis: Literal["log", "linear"] | None = None
    """How the values are spaced; by default "log"."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run for each seed; the experiment's own seed is not used."""
    at_once: AtOnce = "auto"

    @property
    def range_test(self) -> tune.RangeTest:
        """The range test that these options describe."""
        test = tune.MOMENTUM_RANGE if self.momentum else tune.RangeTest()
        given = {"low": self.low, "high": self.high, "axis": self.axis}
        return dataclasses.replace(
            test,
            num_updates=self.updates,
            seeds=self.seeds,
            **{name: value for name, value in given.items() if value is not None},
        )
