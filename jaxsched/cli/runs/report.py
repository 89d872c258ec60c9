"""`jaxsched report`: tables, curves and a page of studies, from their records alone."""

import shlex

from rich.console import Console

from jaxsched import bench
from jaxsched.cli.commands.report import Report
from jaxsched.cli.paths import require_folder
from jaxsched.cli.printing import print_line, print_path


def run(options: Report, console: Console) -> None:
    """Runs the command."""
    if not options.folders:
        raise ValueError("report needs at least one folder of a study.")
    for written in options.output, options.tensorboard:
        if written is not None:
            require_folder(written)
    choices = bench.Choices(options.target, options.metric, options.baseline, options.evaluate)
    bench.update_manifests(options.folders, choices)
    groups = bench.by_study(options.folders)
    # All are read first, so that one that cannot be read ends the command before it writes.
    studies = [bench.Results.read(folders) for folders in groups]
    for folders, results in zip(groups, studies, strict=True):
        output = folders[0]
        if options.output:
            output = options.output / results.manifest.name if len(studies) > 1 else options.output
        if options.tensorboard:
            bench.write_event_files(results, options.tensorboard)
        bench.write_report(results, output)
        print_line(bench.terminal_text(results, console.width), console)
        print(f"tables and curves in {output}")
        print_path("page", output / "report.html", console)
    if options.tensorboard:
        print(f"event files: tensorboard --logdir {shlex.quote(str(options.tensorboard))}")
