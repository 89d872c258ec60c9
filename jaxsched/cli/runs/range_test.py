"""`jaxsched range-test`: which learning rates the losses suggest."""

import dataclasses
from collections.abc import Mapping

from rich.console import Console

from jaxsched import tracking, tune
from jaxsched.cli.commands.range_test import RangeTest
from jaxsched.cli.options import Given, checked_plan, progress_until_signal
from jaxsched.cli.printing import print_line, print_path, print_plan
from jaxsched.cli.reporting import reported
from jaxsched.experiment import with_value


def run(given: Given[RangeTest], console: Console) -> None:
    """Runs the command."""
    options = given.options
    test = _range_test(options)
    experiment = test.tested(given.experiment)
    checked_plan(experiment)
    dataset = tracking.load(experiment.task.data)
    axis, values = options.compared
    tests = [
        tune.RangeTestRuns(e, dataset, test, options.workdir, source_text=given.source_text)
        for e in [with_value(experiment, axis, value) for value in values] or [experiment]
    ]
    for runs in tests:  # before the first of them is trained
        print_plan(runs.experiment, checked_plan(runs.experiment), console)

    def report() -> None:
        reports = [_write_report(experiment.name, runs, dataset.evaluated_on) for runs in tests]
        if values:
            compared = dict(zip(values, tests, strict=True))
            _report_values(experiment.name, axis, compared, console)
        elif reports[0] is not None:
            print_line(reports[0].text(console.width), console)
            print_path("curves, table and plot in", tests[0].folder, console)

    with reported(report), progress_until_signal(console) as (progress, check):
        for runs in tests:
            runs.run(progress, choice=options.at_once, check=check)


def _write_report(name: str, runs: tune.RangeTestRuns, evaluated_on: str) -> tune.Report | None:
    """Writes the report of one test; None before its first losses."""
    curves = list(runs.curves.values())
    if not curves:
        return None
    return tune.write_range_report(name, runs.test, curves, runs.folder, evaluated_on=evaluated_on)


def _report_values(
    name: str, axis: str, tests: Mapping[float, tune.RangeTestRuns], console: Console
) -> None:
    """Compares the tests at several values, as far as they have got."""
    found = [
        tune.ValueCurves(value, tune.judged(runs.test, list(runs.curves.values())).curves)
        for value, runs in tests.items()
        if runs.curves
    ]
    if found:
        first = next(iter(tests.values())).folder
        folder = first.with_name(f"{first.name}-by-{axis}")
        report = tune.write_value_report(name, axis, found, folder)
        print_line(report.text(console.width), console)
        print_path("table and plot in", folder, console)


def _range_test(options: RangeTest) -> tune.RangeTest:
    """The range test that the options describe."""
    test = tune.MOMENTUM_RANGE if options.momentum else tune.RangeTest()
    given = {"low": options.low, "high": options.high, "axis": options.axis}
    return dataclasses.replace(
        test,
        num_updates=options.updates,
        seeds=options.seeds,
        validate_every=options.validate_every,
        judged_by=options.judged_by,
        **{name: value for name, value in given.items() if value is not None},
    )
