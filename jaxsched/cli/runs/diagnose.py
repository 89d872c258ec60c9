"""`jaxsched diagnose`: does the weight norm bounce?"""

from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.commands.diagnose import Diagnose
from jaxsched.cli.options import Given, checked_plan
from jaxsched.cli.printing import print_line, print_path, print_plan


def run(given: Given[Diagnose], console: Console) -> None:
    """Runs the command."""
    options = given.options
    plan = checked_plan(given.experiment)
    experiment = tune.diagnosis_experiment(given.experiment, plan, options.epochs)
    print_plan(experiment, tracking.plan_for(experiment), console)
    with tracking.Progress(console) as progress:
        diagnosis = tune.diagnose(
            experiment, options.workdir, source_text=given.source_text, progress=progress
        )
    print_line(diagnosis.text, console)
    print_path("plot in", diagnosis.plot, console)
    print_path("record in", diagnosis.record, console)
