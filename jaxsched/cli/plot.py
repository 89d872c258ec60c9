"""`jaxsched plot`: schedules before anything is trained."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched.cli.encoding import can_draw
from jaxsched.cli.options import checked_plan
from jaxsched.cli.paths import UserPath, require_new_file
from jaxsched.cli.printing import print_plan
from jaxsched.experiment import Experiment, Preview, load_value
from jaxsched.plotting.previews import draw_schedules, image_suffixes, text_schedules


@dataclass(frozen=True)
class Plot:
    """Plots learning rate, momentum, weight decay, batch size and noise scale of experiments.

    The plot covers the whole run before anything is trained. It is printed as text and written as
    an image.
    """

    configs: tyro.conf.Positional[tuple[UserPath, ...]]
    """Python files that each hold an Experiment under the name `experiment`."""
    output: UserPath = Path("schedules.png")
    """The image file to write."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command, which has no further options in `rest`."""
        del rest
        if not self.configs:
            raise ValueError("plot needs at least one config file, got none.")
        require_new_file(self.output, image_suffixes())
        previews = {}
        for config in self.configs:
            experiment = load_value(config, "experiment", Experiment)
            plan = checked_plan(experiment)
            print_plan(experiment, plan, console)
            # Files may share an experiment's name; the name of the file tells them apart then.
            name = config.stem if experiment.name in previews else experiment.name
            previews[name] = Preview.of(experiment, plan)
        print(text_schedules(previews, colour=console.is_terminal, dots=can_draw(sys.stdout)))
        draw_schedules(previews, self.output)
        print(f"plot in {self.output}")
