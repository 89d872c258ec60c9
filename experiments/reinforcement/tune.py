"""Chooses each schedule's learning rate, by the same small budget and on seeds of its own.

    python experiments/reinforcement/tune.py

For each schedule, with and without L2, it tries three peaks with eight seeds each and takes the one
with the highest mean return over the last half of the evaluations. It writes
`experiments/results/reinforcement/tuning.json`, which study.py reads. Five minutes of one core.
"""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from schedules import NUM_EVALUATIONS, SCHEDULES
from training import Link, measure, train

FILE = Path(__file__).parents[1] / "results" / "reinforcement" / "tuning.json"
PEAKS = (0.004, 0.008, 0.016)  # in a first round of three seeds, 0.002 and 0.032 were never best
SEEDS = range(100, 108)
# 1e-4 is the strongest L2 that PPO learns with here: from 3e-4 on no learning rate reached 300.
L2 = {"reinforcement": 0.0, "reinforcement_l2": 1e-4}


def score(link: Link, peak: float, l2: float) -> float:
    """Returns the mean return over the last half of the evaluations and over the seeds."""
    returns = [
        measure(learner, evaluation)["test_return"]
        for seed in SEEDS
        for evaluation, learner in enumerate(train(link, seed, peak, l2))
        if evaluation > NUM_EVALUATIONS // 2
    ]
    return fmean(returns)


def tuned(l2: float) -> dict[str, dict[str, Any]]:
    """Returns the scores and the best peak of each schedule."""
    found = {}
    for name, link in SCHEDULES.items():
        scores = {peak: round(score(link, peak, l2), 1) for peak in PEAKS}
        found[name] = {"peak": max(scores, key=scores.__getitem__), "scores": scores}
        print(l2, name, found[name], flush=True)
    return found


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({study: tuned(l2) for study, l2 in L2.items()}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
