"""`jaxsched bench`: a study, its table and its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched import bench
from jaxsched.cli.options import end_if_told
from jaxsched.train import Signals


@dataclass(frozen=True)
class Bench:
    """Runs every experiment of a study with every seed, and reports steps to the target.

    Runs that a finished record covers are not made again: after an interrupt, the same command
    goes on.
    """

    study: tyro.conf.Positional[Path]
    """A Python file that holds a Study under the name `study`, or several under `sizes`."""
    size: str | None = None
    """Which of its sizes, such as cpu or full; by default the first."""
    workdir: Path = Path("runs")
    """Records, table and pictures are written to a folder of the study's name in here."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs it; nothing comes after its own options."""
        del rest
        study = bench.load_study(self.study, self.size)
        folder = self.workdir / study.name
        records_folder = folder / "records"
        study.outline().write(folder / "study.json")
        source_text = self.study.read_text(encoding="utf-8")
        try:
            with bench.Progress(console) as progress, Signals() as signals:
                bench.run_study(
                    study,
                    records_folder,
                    source_text=source_text,
                    progress=progress,
                    check=lambda: end_if_told(signals),
                )
        finally:
            if records := bench.study_records(study, records_folder):
                console.print(bench.write_report(study, records, folder))
                print(f"table, pictures and records in {folder}")
