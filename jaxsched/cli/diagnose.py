"""`jaxsched diagnose`: does the weight norm bounce?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.options import ExperimentCommand, checked_plan
from jaxsched.cli.paths import UserPath
from jaxsched.cli.printing import print_plan
from jaxsched.experiment import Experiment


@dataclass(frozen=True)
class Diagnose(ExperimentCommand):
    """Reports whether the weight norm bounces, and so whether a complex schedule is worth it.

    The run holds the experiment's highest learning rate and ends as soon as the answer is known.
    Options and any field of the experiment come after the config file;
    `jaxsched diagnose CONFIG --help` lists them.
    """

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command; `rest` holds its options and fields of its experiment."""
        options = self.parse(rest, DiagnoseOptions, "diagnose")
        plan = checked_plan(options.experiment)
        experiment = tune.diagnosis_experiment(options.experiment, plan, options.epochs)
        print_plan(experiment, tracking.plan_for(experiment), console)
        with tracking.Progress(console) as progress:
            diagnosis = tune.diagnose(
                experiment, options.workdir, source_text=self.source_text, progress=progress
            )
        print(diagnosis.text)
        print(f"plot in {diagnosis.plot}, record in {diagnosis.record}")


@dataclass(frozen=True)
class DiagnoseOptions:
    """The options of `jaxsched diagnose` after the config file."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: UserPath = Path("runs/diagnose")
    """The folder of the record and the plot."""
    epochs: float | None = None
    """The most epochs to train; by default as many as the experiment trains."""
