"""`jaxsched diagnose`: does the weight norm bounce?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.options import options_of
from jaxsched.cli.printing import print_plan
from jaxsched.experiment import Experiment


@dataclass(frozen=True)
class Diagnose:
    """Says whether the weight norm bounces, and so whether a complex schedule is worth it.

    A run at the experiment's highest learning rate that ends as soon as the answer is known. Any
    field of the experiment can be set after the config file.
    """

    config: tyro.conf.Positional[Path]
    """A Python file that holds an Experiment under the name `experiment`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; `rest` are its options and the fields of its experiment."""
        options = options_of(self.config, rest, DiagnoseOptions, "diagnose")
        plan = tracking.plan_for(options.experiment)
        experiment = tune.diagnosis_experiment(options.experiment, plan, options.epochs)
        print_plan(experiment, tracking.plan_for(experiment), console)
        with tracking.Progress(console) as progress:
            diagnosis = tune.diagnose(
                experiment,
                options.workdir,
                source_text=self.config.read_text(encoding="utf-8"),
                progress=progress,
            )
        print(diagnosis.text)
        print(f"picture in {diagnosis.picture}, record in {diagnosis.record}")


@dataclass(frozen=True)
class DiagnoseOptions:
    """Says whether the weight norm bounces, and so whether a complex schedule is worth it."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: Path = Path("runs/diagnose")
    """The record and the picture are written in here."""
    epochs: float | None = None
    """How long to look at most; by default as long as the experiment trains."""
