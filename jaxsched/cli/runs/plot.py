"""`jaxsched plot`: schedules before anything is trained."""

import sys

from rich.console import Console

from jaxsched.cli.commands.plot import Plot
from jaxsched.cli.encoding import can_draw
from jaxsched.cli.options import checked_plan
from jaxsched.cli.paths import require_new_file
from jaxsched.cli.printing import print_plan
from jaxsched.experiment import Experiment, Preview, load_value
from jaxsched.plotting.previews import draw_schedules, image_suffixes, text_schedules


def run(options: Plot, console: Console) -> None:
    """Runs the command."""
    if not options.configs:
        raise ValueError("plot needs at least one config file, got none.")
    require_new_file(options.output, image_suffixes())
    previews = {}
    for config in options.configs:
        experiment = load_value(config, "experiment", Experiment)
        plan = checked_plan(experiment)
        print_plan(experiment, plan, console)
        # Files may share an experiment's name; the name of the file tells them apart then.
        name = config.stem if experiment.name in previews else experiment.name
        previews[name] = Preview.of(experiment, plan)
    print(text_schedules(previews, colour=console.is_terminal, dots=can_draw(sys.stdout)))
    draw_schedules(previews, options.output)
    print(f"plot in {options.output}")
