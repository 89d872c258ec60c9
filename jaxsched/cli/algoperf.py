"""`jaxsched algoperf`: AlgoPerf's logs as studies, and the page of the competition."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from jaxsched.bench.algoperf import (
    read_measurements,
    read_studies,
    write_competition_page,
    write_studies,
)
from jaxsched.cli.paths import UserPath, require_folder
from jaxsched.cli.printing import print_line
from jaxsched.text import aligned_columns


@dataclass(frozen=True)
class Algoperf:
    """Scores submissions to AlgoPerf's competition by its rules, from their logs.

    Each workload becomes a study, and each trial a record. competition.html shows the scores, the
    performance profiles and the times behind them; `jaxsched report` reports a single workload.

    Studies that an earlier call wrote are kept, so that only new trials are imported.
    """

    measurements: tyro.conf.Positional[UserPath]
    """A folder of AlgoPerf's own logs, with SUBMISSION/study_0/WORKLOAD_jax/trial_1/
    eval_measurements.csv in it, or a JSON file of measurements."""
    output: UserPath = Path("runs/algoperf")
    """The folder to write to."""

    def run(self, rest: Sequence[str], console: Console) -> None:
        """Runs the command, which has no further options in `rest`."""
        del rest
        require_folder(self.output)
        competition = read_measurements(self.measurements)
        print_line(
            f"{len(competition.trials):,} trials become records, which may take minutes", console
        )
        folders = write_studies(competition, self.output)
        page = self.output / "competition.html"
        standing = write_competition_page(competition, read_studies(competition, folders), page)
        scores = sorted(standing.profile.scores.items(), key=lambda entry: -entry[1])
        rows = [("submission", "score"), *((name, f"{score:.4f}") for name, score in scores)]
        print_line(aligned_columns(rows), console)
        print(f"page in {page}, studies in {self.output}")
