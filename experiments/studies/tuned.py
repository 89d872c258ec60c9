"""Tunes one number of each contender of a study by the same budget, on held-out examples.

    jaxsched bench experiments/studies/STUDY.py --size rates --workdir experiments/results
    python experiments/studies/tuned.py STUDY

The first command makes the runs of the grid, as long as the study's own, with a seed that the study
does not use, evaluated on a tenth of the training examples that no run trains on. The second writes
each contender's best number with all scores to `experiments/results/STUDY_rates/chosen.json`, where
the study reads it.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from jaxsched.bench import Results, Study
from jaxsched.experiment import Experiment, held_out

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = (100,)


class Contender(NamedTuple):
    """An experiment with one free number, and the values to try."""

    with_value: Callable[[float], Experiment]
    grid: tuple[float, ...]


def tuning(study: str, contenders: Mapping[str, Contender]) -> Study:
    """Returns the runs of the grid: each contender with each of its values."""
    return Study(
        name=f"{study}_rates",
        experiments=tuple(
            last_value_held_out(contender.with_value(value), f"{name}_{value:g}")
            for name, contender in contenders.items()
            for value in contender.grid
        ),
        seeds=SEEDS,
        target=0.5,
    )


def last_value_held_out(run: Experiment, name: str) -> Experiment:
    """The experiment evaluated once, at its end, on held-out training images."""
    length = sum(phase.epochs for phase in run.phases)
    return dataclasses.replace(held_out(run), name=name, evaluate_every=length)


def chosen_file(study: str) -> Path:
    """The path of the file with a study's chosen values."""
    return RESULTS / f"{study}_rates" / "chosen.json"


def when_chosen(study: str, **sizes: Callable[[Mapping[str, float]], Study]) -> dict[str, Study]:
    """Returns the sizes of a study that need its chosen values; none before the tuning."""
    if not chosen_file(study).exists():
        return {}
    return {size: make(chosen(study)) for size, make in sizes.items()}


def chosen(study: str) -> dict[str, float]:
    """Returns a study's chosen values by contender."""
    found = json.loads(chosen_file(study).read_text(encoding="utf-8"))
    return {name: entry["value"] for name, entry in found.items()}


def choose(results: Results) -> dict[str, dict[str, object]]:
    """Returns each contender's best value by the mean at the end, and the means of all values.

    A value with which a run diverged has no score.

    Raises:
        ValueError: if runs of the grid are missing.
    """
    if missing := len(results.manifest.runs) - len(results.records):
        raise ValueError(f"expected all runs of the grid, {missing} are missing; make them first.")
    scores: dict[str, dict[float, float]] = {}
    for summary in results.summaries:
        name, _, value = summary.name.rpartition("_")
        found = scores.setdefault(name, {})
        if not summary.diverged and summary.final_mean is not None:
            found[float(value)] = round(summary.final_mean, 5)
    best = max if results.metric.better == "higher" else min
    return {
        name: {"value": best(found, key=found.__getitem__), "scores": found}
        for name, found in scores.items()
    }


if __name__ == "__main__":
    (study,) = sys.argv[1:]
    text = json.dumps(choose(Results.read([chosen_file(study).parent])), indent=1)
    chosen_file(study).write_text(text + "\n", encoding="utf-8")
    print(text)
