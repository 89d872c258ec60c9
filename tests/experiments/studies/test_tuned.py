"""Tuning on held-out examples: the committed choices against the records, read as plain JSON."""

import json
import statistics
from pathlib import Path

import pytest

from jaxsched.bench import Results
from jaxsched.bench.study.manifest import StudyManifest

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
CHOSEN = sorted((EXPERIMENTS / "results").glob("*_rates/chosen.json"))


@pytest.fixture(scope="module")
def tuned(load_experiment):
    return load_experiment("studies/tuned")


def records_of(folder):
    """The first line and the last evaluation of each record."""
    for path in (folder / "records").glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        (*_, last) = [line for line in lines if line["kind"] == "evaluation"]
        yield lines[0], last


@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.parent.name)
def test_chosen_values_are_the_best_of_records_on_held_out_examples(path):
    metric = json.loads((path.parent / "study.json").read_text())["metric"]
    found = {}
    for header, last in records_of(path.parent):
        assert header["evaluated_on"] == "validation"
        name, _, value = header["name"].rpartition("_")
        scores = found.setdefault(name, {}).setdefault(float(value), [])
        scores.append(last.get(f"averaged_{metric['name']}") or last[metric["name"]])
    best = max if metric["better"] == "higher" else min
    for name, entry in json.loads(path.read_text()).items():
        means = {value: statistics.fmean(scores) for value, scores in found.pop(name).items()}
        assert entry["value"] == best(means, key=means.__getitem__)
        scores = {float(value): score for value, score in entry["scores"].items()}
        assert scores == pytest.approx(means, abs=6e-6)
    assert not found


@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.parent.name)
def test_a_study_runs_the_values_chosen_with_other_seeds(path, tuned, load_experiment):
    name = path.parent.name.removesuffix("_rates")
    sizes = dict(load_experiment(f"studies/{name}").sizes)
    rates = {run.name: run.optimizer for run in sizes["rates"].experiments}
    seeds = {*sizes.pop("rates").seeds}
    made = [study for size, study in sizes.items() if size != "full"]
    assert made and not seeds & {seed for study in made for seed in study.seeds}
    optimizers = [run.optimizer for study in made for run in study.experiments]
    for contender, value in tuned.chosen(name).items():
        assert rates[f"{contender}_{value:g}"] in optimizers


def test_a_grid_with_missing_runs_is_refused(tuned):
    folder = EXPERIMENTS / "results" / "language_rates"
    manifest = StudyManifest.read(folder / "study.json")
    records = Results.read([folder]).records
    with pytest.raises(ValueError, match="all runs of the grid, 1 are missing"):
        tuned.choose(Results.of(manifest, records[1:]))


def test_there_are_no_sizes_before_the_tuning(tuned):
    assert tuned.when_chosen("a study without records", cpu=None) == {}
