"""`jaxsched grid`: hyper-parameters tried in short runs."""

from rich.console import Console

from jaxsched import tune
from jaxsched.cli.commands.grid import Grid
from jaxsched.cli.options import Given, checked_plan, progress_until_signal
from jaxsched.cli.printing import print_line, print_path
from jaxsched.cli.reporting import reported


def run(given: Given[Grid], console: Console) -> None:
    """Runs the command."""
    options = given.options
    checked_plan(given.experiment)
    grid = tune.Grid(
        experiment=given.experiment,
        axes=options.axes,
        epochs=options.epochs,
        seeds=options.seeds,
        from_snapshot=options.from_snapshot,
        refine=options.refine,
    )
    for cell in grid.cells():  # before the first of them is trained
        checked_plan(cell.experiment)
    runs = tune.GridRuns(grid, options.workdir, source_text=given.source_text)
    with (
        reported(lambda: _report(runs, console)),
        progress_until_signal(console) as (progress, check),
    ):
        runs.run(progress, choice=options.at_once, check=check)


def _report(runs: tune.GridRuns, console: Console) -> None:
    if runs.runs():
        print_line(tune.write_grid_report(runs).text(console.width), console)
        print_path("table, plot and records in", runs.folder, console)
