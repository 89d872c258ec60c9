"""`jaxsched report`: tables, curves and a page of studies and of runs, from records alone."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxsched import bench
from jaxsched.cli.commands.report import Report
from jaxsched.cli.curve_files import curves_in
from jaxsched.cli.paths import require_folder
from jaxsched.cli.printing import print_line, print_path


def run(options: Report, console: Console) -> None:
    """Runs the command."""
    if not options.paths:
        raise ValueError(
            "report needs at least one folder of a study, or one of `jaxsched train`, or records."
        )
    for written in options.output, options.tensorboard:
        if written is not None:
            require_folder(written)
    studies = _studies(options)
    # All are read first, so that one that cannot be read ends the command before it writes.
    for study, results in [(study, _results(study)) for study in studies]:
        if results is not None:
            _write(study, results, options.tensorboard, console)
        _say_what_is_missing(study, console)
    if options.tensorboard:
        print(f"event files: tensorboard --logdir {shlex.quote(str(options.tensorboard))}")


@dataclass(frozen=True)
class _Study:
    """A study to report.

    Attributes:
        name: its name.
        output: the folder of its report.
        read: computes the results.
        num_runs: how many runs it has.
        num_ended: how many of them have ended.
        unfinished: those that have begun and not ended.
    """

    name: str
    output: Path
    read: Callable[[], bench.Results]
    num_runs: int
    num_ended: int
    unfinished: Sequence[bench.UnfinishedRun]


def _studies(options: Report) -> list[_Study]:
    """The studies of all paths, those with folders of their own first."""
    choices = bench.Choices(options.target, options.metric, options.baseline, options.evaluate)
    of_train = bench.runs_of_train([path for path in options.paths if bench.holds_runs(path)])
    folders = [path for path in options.paths if not bench.holds_runs(path)]
    bench.update_manifests(folders, choices)
    groups = bench.by_study(folders)
    are_several = len(groups) + len(of_train) > 1

    def output(default: Path, name: str) -> Path:
        if options.output is None:
            return default
        return options.output / name if are_several else options.output

    return [
        *(_of_folders(group, output) for group in groups),
        *(_of_train(runs, choices, output) for runs in of_train),
    ]


def _of_folders(folders: Sequence[Path], output: Callable[[Path, str], Path]) -> _Study:
    manifest, found = bench.read_study(folders)
    ended = {
        (record.name, record.header["digest"], record.header["seed"]) for record in found.records
    }
    return _Study(
        name=manifest.name,
        output=output(folders[0], manifest.name),
        read=lambda: bench.Results.of_found(manifest, found),
        num_runs=len(manifest.runs),
        num_ended=len(ended),
        unfinished=found.unfinished,
    )


def _of_train(
    runs: bench.RunsOfTrain, choices: bench.Choices, output: Callable[[Path, str], Path]
) -> _Study:
    folder = output(runs.folder / bench.REPORT_FOLDER, runs.name)

    def read() -> bench.Results:
        manifest, found = runs.study(choices, folder)
        return bench.Results.of(manifest, found.records, found.cautions)

    return _Study(
        name=runs.name,
        output=folder,
        read=read,
        num_runs=len(runs.records),
        num_ended=sum(record.is_result for record in runs.records),
        unfinished=runs.unfinished,
    )


def _results(study: _Study) -> bench.Results | None:
    """The results; None if there is nothing to report yet, while a process makes runs."""
    try:
        return study.read()
    except bench.NothingYetError:
        if not any(run.is_in_progress for run in study.unfinished):
            raise
        return None


def _write(
    study: _Study, results: bench.Results, tensorboard: Path | None, console: Console
) -> None:
    """Writes the report, and prints the table and where the files are."""
    if tensorboard:
        bench.write_event_files(results, tensorboard)
    bench.write_report(results, study.output)
    print_line(bench.terminal_text(results, console.width), console)
    print(f"tables and curves in {study.output}")
    print_path("page", study.output / "report.html", console)


def _say_what_is_missing(study: _Study, console: Console) -> None:
    """Says how many runs have ended and how far others are; nothing if all have ended."""
    if study.num_ended == study.num_runs:
        return
    clauses = [f"{study.num_ended} of {study.num_runs} runs have ended"]
    clauses += bench.describe_unfinished(study.unfinished)
    again = "; run the same command again later" * any(r.is_in_progress for r in study.unfinished)
    print_line(f"{study.name}: {', '.join(clauses)}{again}", console)
    for run in study.unfinished:
        curves = curves_in(run.path.with_suffix(""))
        if curves.exists():
            print_path("curves so far", curves, console)
