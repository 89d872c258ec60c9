"""`jaxsched plot`: schedules before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched import bench
from jaxsched.cli.shown import print_plan
from jaxsched.train import Experiment, Preview
from jaxsched.train.config_file import load_value


@dataclass(frozen=True)
class Plot:
    """Draws learning rate, momentum, weight decay, batch size and noise scale of experiments.

    Over the whole run, before anything is trained: as text here, and as a picture.
    """

    configs: tyro.conf.Positional[tuple[Path, ...]]
    """Python files that hold an Experiment each under the name `experiment`."""
    output: Path = Path("schedules.png")
    """The picture."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; nothing comes after its own options."""
        del rest
        if not self.configs:
            raise ValueError("plot needs at least one config file, got none.")
        previews = {}
        for config in self.configs:
            experiment = load_value(config, "experiment", Experiment)
            plan = bench.planned(experiment)
            print_plan(experiment, plan, console)
            # Files may share an experiment's name; the name of the file tells them apart then.
            name = config.stem if experiment.name in previews else experiment.name
            previews[name] = Preview.of(experiment, plan)
        print(bench.text_schedules(previews, colour=console.is_terminal))
        bench.draw_schedules(previews, self.output)
        print(f"picture in {self.output}")
