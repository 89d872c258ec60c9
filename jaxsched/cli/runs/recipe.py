"""`jaxsched recipe`: finds a 1cycle config and writes it."""

import datetime

from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.commands.recipe import Recipe
from jaxsched.cli.options import Given, checked_plan, progress_until_signal
from jaxsched.cli.paths import require_new_file
from jaxsched.cli.printing import print_line
from jaxsched.cli.reporting import reported
from jaxsched.cli.set_aside import set_aside


def run(given: Given[Recipe], console: Console) -> None:
    """Runs the command."""
    options = given.options
    if options.output.exists() and not options.overwrite:
        raise FileExistsError(
            f"{options.output} already exists; give another --output, or --overwrite, which sets "
            "it aside."
        )
    require_new_file(options.output, [".py"])
    checked_plan(given.experiment)
    recipe = tune.Recipe(
        experiment=given.experiment,
        test=tune.RangeTest(
            num_updates=options.updates, seeds=options.seeds, validate_every=options.validate_every
        ),
        weight_decays=options.weight_decays,
        momenta=options.momenta,
        epochs=options.epochs,
        refine=options.refine,
        compare=options.compare,
    )
    with progress_until_signal(console) as (progress, check):
        runs = tune.RecipeRuns(
            recipe,
            options.workdir / given.experiment.name,
            source_text=given.source_text,
            progress=progress,
            choice=options.at_once,
            check=check,
        )
        with reported(lambda: _print_reasons(runs, console)):
            experiment = runs.find()
    if folder := set_aside([options.output]):  # only now, so that the file is there meanwhile
        print_line(f"the earlier {options.output.name} is kept in {folder}", console)
    tune.write_recipe(experiment, runs.reasons, _origin(), options.output)
    if not options.compare:
        print_line(
            f"not compared with {given.experiment.name} as it was given, so it may do worse; leave "
            "out --no-compare to train both in full",
            console,
        )
    written = f"written to {options.output}; train it by: jaxsched train {options.output}"
    print_line(written, console)


def _print_reasons(runs: tune.RecipeRuns, console: Console) -> None:
    for reason in runs.reasons:
        print_line(reason.text(console.width), console)


def _origin() -> str:
    """The date, the packages, the commit and the devices that a recipe was found with."""
    found = tracking.environment()
    packages = ", ".join(f"{name} {found['packages'][name]}" for name in ("jaxsched", "jax"))
    today = datetime.date.today().isoformat()
    return (
        f"{today}, {packages}, commit {found['commit']}, {found['num_devices']} x {found['device']}"
    )
