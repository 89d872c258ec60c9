"""`jaxsched bench`: a study, its table and its pictures."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from filelock import FileLock
from rich.console import Console

from jaxsched import bench, tracking
from jaxsched.experiment import Preview
from jaxsched.plotting.previews import draw_schedules
from jaxsched.train import SignalHandler


@dataclass(frozen=True)
class Bench:
    """Runs every experiment of a study with every seed, and reports steps to the target.

    Runs that a finished record covers are not made again. SIGTERM and Ctrl-C save the run under way
    and end the command with 143 and 130; the same command goes on as if nothing had happened.

    The same command may be started several times, also on several machines that share the folder:
    each process takes runs that no other is at, until none is left.

    A run that dies of an error, as one that diverges, is a miss with its reason, and the others go
    on. The command then ends with 1; the same command makes those that died again.
    """

    study: tyro.conf.Positional[Path]
    """A Python file that holds a Study under the name `study`, or several under `sizes`."""
    size: str | None = None
    """Which of its sizes, such as cpu or full; by default the first."""
    shard: str = "1/1"
    """Which part of its runs to make here, such as 3/16, where other machines make the others;
    `jaxsched report` takes their folders together."""
    checkpoint_minutes: float = 10.0
    """How often the run under way is saved at least."""
    at_once: int | None = None
    """How many runs to make at a time, one a device, where each takes one (num_devices = 1). By
    default one on each GPU or TPU; on a CPU one, because its virtual devices share its cores, and
    the seconds of runs side by side would not be those of a run alone."""
    workdir: Path = Path("runs")
    """Records, table and pictures are written to a folder of the study's name in here."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; nothing comes after its own options."""
        del rest
        study, shard = bench.load_study(self.study, self.size), bench.Shard.parse(self.shard)
        folder = self.workdir / study.name
        manifest = study.manifest()
        folder.mkdir(parents=True, exist_ok=True)
        # Other processes may work in this folder.
        reporting = FileLock(folder / ".report.lock")
        with reporting:
            manifest.write(folder / bench.MANIFEST_FILE)
            _draw_schedules(study, folder / "schedules.png", console)
        records_folder = folder / bench.RECORDS_FOLDER
        source_text = self.study.read_text(encoding="utf-8")
        try:
            with tracking.Progress(console) as progress, SignalHandler() as signals:
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
        finally:
            with reporting:
                records = bench.study_records(study, records_folder)
                _report(manifest, records, folder, console)
        failed = sum(record.status == tracking.FAILED for record in records)
        if failed:
            print(
                f"{failed} of {len(manifest.runs)} runs failed; the same command tries them again"
            )
            sys.exit(1)


def _draw_schedules(study: bench.Study, path: Path, console: Console) -> None:
    """Draws those that can be drawn; an error in the others is for their runs to die of."""
    previews = {}
    for experiment in study.experiments:
        plan = tracking.plan_for(experiment)
        try:
            previews[experiment.name] = Preview.of(experiment, plan)
        except ValueError:
            raise
        except Exception as error:
            reason = tracking.format_error(error)
            console.print(f"{experiment.name} cannot be drawn: {reason}", markup=False)
    if previews:
        draw_schedules(previews, path)


def _report(
    manifest: bench.StudyManifest,
    records: Sequence[tracking.Record],
    folder: Path,
    console: Console,
) -> None:
    """Reports what has finished, also of a study that was interrupted."""
    if not records:
        return
    try:
        results = bench.Results.of(manifest, records)
    except ValueError as error:  # no target yet, which must not hide what ended the study
        console.print(str(error), markup=False)
    else:
        console.print(bench.write_report(results, folder))
        print(f"page, table, pictures and records in {folder}")
