"""`jaxsched bench`: a study, its table and its plots."""

import shlex
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console

from jaxsched import bench, tracking
from jaxsched.bench.study.engines.by_name import ENGINES
from jaxsched.bench.study.engines.run_on import run_on
from jaxsched.bench.study.engines.task import SharedStudy
from jaxsched.cli.commands.bench import Bench
from jaxsched.cli.exit_status import ExitStatus
from jaxsched.cli.paths import require_folder
from jaxsched.cli.printing import print_line, print_path
from jaxsched.cli.reporting import reported
from jaxsched.experiment import Preview, misfits, read_source
from jaxsched.file_lock import waiting
from jaxsched.plotting.previews import draw_schedules
from jaxsched.train import SignalHandler


def run(options: Bench, console: Console) -> None:
    """Runs the command."""
    source_text = read_source(options.study)
    study, shard = bench.load_study(options.study, options.size), bench.Shard.parse(options.shard)
    require_folder(options.workdir)
    folder = options.workdir / study.name

    def loggers(name: str, seed: int) -> Sequence[tracking.Logger]:
        return tracking.loggers_in(folder / "logs" / name / f"seed{seed}", options.log)

    engine = ENGINES[options.on]() if options.on else None
    if engine:
        jax.config.update("jax_platforms", "cpu")  # the host's GPUs and TPUs are for its tasks
    loggers("", 0)  # names a package that is missing, before anything runs
    manifest = study.manifest()
    # Other processes may write to this folder at the same time.
    reporting = folder / ".report.lock"
    with waiting(reporting):
        manifest.write(folder / bench.MANIFEST_FILE)
        _draw_schedules(study, folder / "schedules.png", console)
    records_folder = folder / bench.RECORDS_FOLDER

    def report() -> None:
        with waiting(reporting):
            _report(manifest, bench.find_records(manifest, [records_folder]), folder, console)

    look = f"look at it while it runs: jaxsched report {shlex.quote(str(folder))}"
    print_line(look, console)
    lost = 0
    with (
        reported(report),
        tracking.Progress(console) as progress,
        SignalHandler() as signals,
    ):
        if engine:
            shared = _shared(options, folder)
            lost = run_on(engine, study, shared, progress=progress, signals=signals)
        else:
            bench.run_study(
                study,
                records_folder,
                source_text=source_text,
                progress=progress,
                shard=shard,
                signals=signals,
                every_seconds=60 * options.checkpoint_minutes,
                at_once=options.at_once,
                loggers=loggers,
            )
    if options.open:
        _open(folder / "report.html")
    _exit_if_failed(manifest, records_folder, lost)


def _shared(options: Bench, folder: Path) -> SharedStudy:
    return SharedStudy(
        file=options.study.absolute(),
        size=options.size,
        folder=folder.absolute(),
        start=Path.cwd(),
        every_seconds=60 * options.checkpoint_minutes,
        log=options.log,
        command=tuple(sys.argv),
    )


def _open(page: Path) -> None:
    """Opens the page, if the study has got one and there is a browser."""
    if page.exists() and not webbrowser.open(page.resolve().as_uri()):
        print("no browser could be opened", file=sys.stderr)


def _exit_if_failed(manifest: bench.StudyManifest, records_folder: Path, lost: int) -> None:
    """Exits with 1 if runs died of an error, were lost, or have records that cannot be read."""
    paths = [records_folder / run.file_name for run in manifest.runs]
    records, unreadable = tracking.read_records(paths)
    failed = sum(record.status == tracking.FAILED for record in records)
    if failed:
        print(f"{failed} of {len(paths)} runs failed; the same command tries them again")
    if unreadable:
        print(f"{len(unreadable)} of {len(paths)} runs have records that cannot be read")
    if lost:
        print(f"{lost} of {len(paths)} runs have no result; the same command goes on with them")
    if failed or unreadable or lost:
        sys.exit(ExitStatus.FAILED)


def _draw_schedules(study: bench.Study, path: Path, console: Console) -> None:
    """Plots the schedules of the experiments that can be previewed; says what is odd in them."""
    previews = {}
    for experiment in study.experiments:
        plan = tracking.plan_for(experiment)
        try:
            previews[experiment.name] = Preview.of(experiment, plan)
            for sentence in misfits(experiment, plan):
                print_line(f"{experiment.name}: note: {sentence}", console)
        except ValueError:
            raise
        except Exception as error:
            # The experiment's own code failed. Its runs will fail too, each on its own record;
            # that must not keep the other experiments from running.
            reason = tracking.format_error(error)
            print_line(f"{experiment.name} cannot be plotted: {reason}", console)
    if previews:
        draw_schedules(previews, path)


def _report(
    manifest: bench.StudyManifest, found: bench.FoundRecords, folder: Path, console: Console
) -> None:
    """Reports the runs that have finished, also when the study was interrupted."""
    if not found.records:
        return
    try:
        results = bench.Results.of(manifest, found.records, found.cautions)
    except ValueError as error:  # no target yet, which must not hide what ended the study
        print_line(str(error), console)
    else:
        bench.write_report(results, folder)
        print_line(bench.terminal_text(results, console.width), console)
        print(f"table, plots and records in {folder}")
        print_path("page", folder / "report.html", console)
