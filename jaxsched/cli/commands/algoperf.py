"""`jaxsched algoperf`: AlgoPerf's logs as studies, and the page of the competition."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxsched.cli.paths import UserPath


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
