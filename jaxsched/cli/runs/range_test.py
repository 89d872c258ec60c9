"""`jaxsched range-test`: which learning rates the losses suggest."""

import dataclasses

from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.commands.range_test import RangeTest
from jaxsched.cli.options import Given, checked_plan, progress_until_signal
from jaxsched.cli.printing import print_line, print_path, print_plan
from jaxsched.cli.reporting import reported


def run(given: Given[RangeTest], console: Console) -> None:
    """Runs the command."""
    options = given.options
    test = _range_test(options)
    experiment = test.tested(given.experiment)
    checked_plan(experiment)
    dataset = tracking.load(experiment.task.data)
    runs = tune.RangeTestRuns(
        experiment,
        dataset,
        test,
        options.workdir,
        source_text=given.source_text,
    )
    print_plan(runs.experiment, tracking.plan_for(runs.experiment), console)
    with (
        reported(lambda: _report(experiment.name, runs, dataset.evaluated_on, console)),
        progress_until_signal(console) as (progress, check),
    ):
        runs.run(progress, choice=options.at_once, check=check)


def _report(name: str, runs: tune.RangeTestRuns, evaluated_on: str, console: Console) -> None:
    if curves := list(runs.curves.values()):
        report = tune.write_range_report(
            name, runs.test, curves, runs.folder, evaluated_on=evaluated_on
        )
        print_line(report.text(console.width), console)
        print_path("curves, table and plot in", runs.folder, console)


def _range_test(options: RangeTest) -> tune.RangeTest:
    """The range test that the options describe."""
    test = tune.MOMENTUM_RANGE if options.momentum else tune.RangeTest()
    given = {"low": options.low, "high": options.high, "axis": options.axis}
    return dataclasses.replace(
        test,
        num_updates=options.updates,
        seeds=options.seeds,
        validate_every=options.validate_every,
        judged_by=options.judged_by or ("validation" if options.validate_every else "training"),
        **{name: value for name, value in given.items() if value is not None},
    )
