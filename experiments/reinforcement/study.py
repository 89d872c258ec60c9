"""Which schedule for PPO on CartPole? Six schedules, with and without L2, ten seeds each.

    python experiments/reinforcement/tune.py    # chooses the learning rates; is committed
    python experiments/reinforcement/study.py   # makes the runs; the same command goes on
    options="--target 475 --metric test_return --baseline late --evaluate raw"
    jaxsched report runs/reinforcement $options
    jaxsched report runs/reinforcement_l2 $options
    python experiments/figures/reinforcement.py   # or with runs/reinforcement_l2

The weights that act count, not their averages: the question is what a schedule does to them.

With the name of one of the two studies, study.py makes the runs of that one alone. A run takes two
seconds on a core, its compilation ten to twenty.
"""

import contextlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import schedules
from training import Link, measure, train
from tune import FILE, L2

import jaxsched as js

SEEDS = range(10)  # none that the learning rates were chosen with


def record(study: str, link: Link, seed: int, peak: float, workdir: Path) -> None:
    """Makes a run and its record."""
    config = {
        "environment": "CartPole-v1",
        "schedule": link.__name__,
        "peak": peak,
        "l2": L2[study],
        "updates": schedules.NUM_UPDATES,
    }
    with js.recorder(
        study=study,
        experiment=link.__name__,
        seed=seed,
        config=config,
        workdir=workdir,
        better={"return": "higher"},
    ) as run:
        for evaluation, learner in enumerate(train(link, seed, peak, L2[study])):
            with run.evaluating():
                row = measure(learner, evaluation)
            if row["step"] > 0:
                run.evaluation(**row)


def main(studies: Iterable[str], workdir: Path = Path("runs")) -> None:
    """Makes all runs of these studies that have not finished yet."""
    tuned = json.loads(FILE.read_text(encoding="utf-8"))
    for study in studies:
        for name, link in schedules.SCHEDULES.items():
            for seed in SEEDS:
                with contextlib.suppress(FileExistsError):  # has finished before
                    record(study, link, seed, tuned[study][name]["peak"], workdir)
            print(study, name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or L2)
