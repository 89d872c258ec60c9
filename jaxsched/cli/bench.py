"""`jaxsched bench`: a study, its table and its plots."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched import bench, tracking
from jaxsched.cli.options import require_minutes
from jaxsched.cli.paths import UserPath, require_folder
from jaxsched.cli.printing import print_line
from jaxsched.cli.reporting import reported
from jaxsched.experiment import Preview, misfits, read_source
from jaxsched.file_lock import waiting
from jaxsched.plotting.previews import draw_schedules
from jaxsched.train import SignalHandler
from jaxsched.train.population.strategy import StrategyChoice


@dataclass(frozen=True)
class Bench:
    """Runs every experiment of a study with every seed, and reports steps to the target.

    Runs that already have a finished record are not made again. SIGTERM and Ctrl-C save the current
    run and end the command with exit code 143 or 130; the same command then goes on as if nothing
    had happened.

    The same command may be started several times, also on several machines that share the folder:
    each process takes runs that no other process is making, until none is left.

    A run that dies of an error, or that diverges, counts as a miss with its reason, and the other
    runs go on. If a run died of an error, the command ends with exit code 1, and the same command
    tries that run again.
    """

    study: tyro.conf.Positional[UserPath]
    """A Python file that holds a Study under the name `study`, or several under `sizes`."""
    size: str | None = None
    """The name of one of its sizes, such as cpu or full; by default the first."""
    shard: str = "1/1"
    """The part of the study's runs to make here, such as 3/16, while other machines make the other
    parts; `jaxsched report` puts their folders together."""
    checkpoint_minutes: float = 10.0
    """The current run is saved at least this often."""
    at_once: StrategyChoice = "auto"
    """How the runs share the devices: "in_turn", one after another; "devices", one on each device;
    a number, so many at a time, one on each device. More than one at a time needs experiments with
    num_devices = 1. "auto" makes one on each GPU or TPU, but one at a time on a CPU: its virtual
    devices share its cores, so that runs made together would take longer than each run alone.
    "vmap" is refused, because runs on one device have no seconds of their own."""
    workdir: UserPath = Path("runs")
    """Records, table and plots are written to a folder of the study's name in here."""

    def __post_init__(self):
        require_minutes(self.checkpoint_minutes)

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command, which has no further options in `rest`."""
        del rest
        source_text = read_source(self.study)
        study, shard = bench.load_study(self.study, self.size), bench.Shard.parse(self.shard)
        require_folder(self.workdir)
        folder = self.workdir / study.name
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

        with (
            reported(report),
            tracking.Progress(console) as progress,
            SignalHandler() as signals,
        ):
            bench.run_study(
                study,
                records_folder,
                source_text=source_text,
                progress=progress,
                shard=shard,
                signals=signals,
                every_seconds=60 * self.checkpoint_minutes,
                at_once=self.at_once,
            )
        _exit_if_failed(manifest, records_folder)


def _exit_if_failed(manifest: bench.StudyManifest, records_folder: Path) -> None:
    """Exits with 1 if runs died of an error, or have records that cannot be read."""
    paths = [records_folder / run.file_name for run in manifest.runs]
    records, unreadable = tracking.read_records(paths)
    failed = sum(record.status == tracking.FAILED for record in records)
    if failed:
        print(f"{failed} of {len(paths)} runs failed; the same command tries them again")
    if unreadable:
        print(f"{len(unreadable)} of {len(paths)} runs have records that cannot be read")
    if failed or unreadable:
        sys.exit(1)


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
            console.print(f"{experiment.name} cannot be plotted: {reason}", markup=False)
    if previews:
        draw_schedules(previews, path)


def _report(
    manifest: bench.StudyManifest, found: bench.FoundRecords, folder: Path, console: Console
) -> None:
    """Reports the runs that have finished, also when the study was interrupted."""
    if not found.records:
        return
    try:
        results = bench.Results.of(manifest, *found)
    except ValueError as error:  # no target yet, which must not hide what ended the study
        console.print(str(error), markup=False)
    else:
        console.print(bench.write_report(results, folder))
        print(f"page, table, plots and records in {folder}")
