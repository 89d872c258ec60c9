"""`jaxsched recipe`: a 1cycle config, found and written."""

import datetime
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
class Recipe:
    """Finds a 1cycle recipe and writes it as a config that trains.

    A range test of the learning rate, then short runs at several weight decays and momenta. The
    reasons, tables and where the pictures lie are written into the config. Any field of the
    experiment can be set after the config file. After an interrupt the same command goes on.
    """

    config: tyro.conf.Positional[Path]
    """A Python file that holds an Experiment under the name `experiment`."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; `rest` are its options and the fields of its experiment."""
        options = options_of(self.config, rest, RecipeOptions, "recipe")
        if options.output.exists():
            raise FileExistsError(
                f"{options.output} is there already; move it away, or give another --output."
            )
        recipe = tune.Recipe(
            experiment=options.experiment,
            test=tune.RangeTest(num_updates=options.updates, seeds=options.seeds),
            weight_decays=options.weight_decays,
            momenta=options.momenta,
            epochs=options.epochs,
            refine=options.refine,
        )
        with tracking.Progress(console) as progress, SignalHandler() as signals:
            runs = tune.RecipeRuns(
                recipe,
                options.workdir / options.experiment.name,
                source_text=self.config.read_text(encoding="utf-8"),
                progress=progress,
                choice=options.at_once,
                check=lambda: end_if_told(signals),
            )
            try:
                experiment = runs.find()
            finally:
                for reason in runs.reasons:
                    say(f"{reason.title}\n\n{reason.text}\n", console)
        tune.write_recipe(experiment, runs.reasons, _origin(), options.output)
        say(f"written to {options.output}; train it by: jaxsched train {options.output}", console)


@dataclass(frozen=True)
class RecipeOptions:
    """Finds a 1cycle recipe and writes it as a config that trains."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    output: Path = Path("one_cycle.py")
    """The config to write; one that is there is never overwritten."""
    workdir: Path = Path("runs/recipe")
    """Curves, records, tables and pictures: in here, in a folder of the experiment's name."""
    weight_decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 0.0)
    """Values to try; of none the experiment's own is kept."""
    momenta: tuple[float, ...] = (0.9, 0.95, 0.99)
    """Highest values to try, of a cycle that falls to 0.85."""
    epochs: float | None = None
    """Of a short run; by default a fifth of the experiment's, and at least one."""
    refine: int = 1
    """How many times weight decays halfway between the best and its neighbours are tried too."""
    updates: int = 200
    """Of a run of the range test."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of all of these runs."""
    at_once: tune.StrategyChoice = "auto"
    """How many run at once: "in_turn", one a device ("devices"), or side by side on a device
    ("vmap"); by default the fastest."""


def _origin() -> str:
    """With what a recipe was found."""
    found = tracking.environment()
    packages = ", ".join(f"{name} {found['packages'][name]}" for name in ("jaxsched", "jax"))
    today = datetime.date.today().isoformat()
    return (
        f"{today}, {packages}, commit {found['commit']}, {found['num_devices']} x {found['device']}"
    )
