"""`jaxsched recipe`: finds a 1cycle config and writes it."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.options import AtOnce, ExperimentCommand, checked_plan, progress_until_signal
from jaxsched.cli.paths import UserPath, require_new_file
from jaxsched.cli.printing import print_line
from jaxsched.cli.reporting import reported
from jaxsched.experiment import Experiment


@dataclass(frozen=True)
class Recipe(ExperimentCommand):
    """Finds a 1cycle recipe and writes it as a config that trains.

    Runs a range test of the learning rate, then short runs at several weight decays and momenta.
    The config also holds the reasons, the tables and the paths of the plots. After an interrupt the
    same command goes on. Options and any field of the experiment come after the config file;
    `jaxsched recipe CONFIG --help` lists them.
    """

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command; `rest` holds its options and fields of its experiment."""
        options = self.parse(rest, RecipeOptions, "recipe")
        tune.refuse_existing(options.output)
        require_new_file(options.output, [".py"])
        checked_plan(options.experiment)
        recipe = tune.Recipe(
            experiment=options.experiment,
            test=tune.RangeTest(num_updates=options.updates, seeds=options.seeds),
            weight_decays=options.weight_decays,
            momenta=options.momenta,
            epochs=options.epochs,
            refine=options.refine,
        )
        with progress_until_signal(console) as (progress, check):
            runs = tune.RecipeRuns(
                recipe,
                options.workdir / options.experiment.name,
                source_text=self.source_text,
                progress=progress,
                choice=options.at_once,
                check=check,
            )
            with reported(lambda: _print_reasons(runs, console)):
                experiment = runs.find()
        tune.write_recipe(experiment, runs.reasons, _origin(), options.output)
        written = f"written to {options.output}; train it by: jaxsched train {options.output}"
        print_line(written, console)


def _print_reasons(runs: tune.RecipeRuns, console: Console) -> None:
    for reason in runs.reasons:
        print_line(f"{reason.title}\n\n{reason.text}\n", console)


@dataclass(frozen=True)
class RecipeOptions:
    """The options of `jaxsched recipe` after the config file."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    output: UserPath = Path("one_cycle.py")
    """The config to write; a file that exists is never overwritten."""
    workdir: UserPath = Path("runs/recipe")
    """Curves, records, tables and plots are written to a folder of the experiment's name in
    here."""
    weight_decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 0.0)
    """Weight decays to try; without any, the experiment's own is kept."""
    momenta: tuple[float, ...] = (0.9, 0.95, 0.99)
    """The momenta to try at the start and end of the cycle, in whose middle it falls to 0.85."""
    epochs: float | None = None
    """How many epochs a short run trains; by default a fifth of the experiment's, at least one."""
    refine: int = 1
    """How many times to add the weight decays halfway between the best one and its neighbours."""
    updates: int = 200
    """The number of updates of a run of the range test."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """The seeds of the range test and of the short runs."""
    at_once: AtOnce = "auto"


def _origin() -> str:
    """The date, the packages, the commit and the devices that a recipe was found with."""
    found = tracking.environment()
    packages = ", ".join(f"{name} {found['packages'][name]}" for name in ("jaxsched", "jax"))
    today = datetime.date.today().isoformat()
    return (
        f"{today}, {packages}, commit {found['commit']}, {found['num_devices']} x {found['device']}"
    )
