"""The speedrun: one thing more a rung, lengths by hand, and the records are of this study."""

from pathlib import Path

import numpy as np
import pytest

from jaxsched.bench import MANIFEST_FILE, Results, StudyManifest
from jaxsched.experiment import describe

RESULTS = Path(__file__).parents[3] / "experiments" / "results" / "speedrun"
SIZES = ("cpu", "full")


@pytest.fixture(scope="module")
def module(load_experiment):
    return load_experiment("studies/speedrun")


def differences(one, other, at=""):
    """The paths of the fields in which two descriptions differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return set().union(*(differences(one[key], other[key], f"{at}.{key}") for key in one))
    return set() if one == other else {at}


# Beside the name and the length, both of which may change from any rung to the next.
ADDED = {
    "one_cycle": {".optimizer.lr", ".optimizer.momentum"},
    "light_crop": {".augment.pad"},
    "nesterov": {".optimizer.nesterov"},
    "speedrun": {".label_smoothing"},
    "averaged": {".optimizer.averaging"},
}


@pytest.mark.parametrize("size", SIZES)
def test_each_run_adds_one_thing_to_the_one_before(module, size):
    first, *others = module.sizes[size].experiments
    assert first.name == "multi_step"
    assert {run.name for run in others} == ADDED.keys()
    for before, run in zip((first, *others), others, strict=False):
        changed = differences(describe(before), describe(run)) - {".name", ".phases"}
        assert changed == ADDED[run.name], run.name
        assert before.phases[0].batch_size == run.phases[0].batch_size
        assert before.phases[0].epochs >= run.phases[0].epochs


def test_small_runs_take_the_updates_and_images_counted_by_hand(module):
    small = module.sizes["cpu"]
    found = {run.name: run.plan(50_000).total_steps for run in small.experiments}
    # 50,000 / 32 = 1,562.5 an epoch; the last batch may go beyond the end.
    assert found == {
        "multi_step": 3125,
        "one_cycle": 2344,
        "light_crop": 1563,
        "nesterov": 1172,
        "speedrun": 1172,
        "averaged": 1172,
    }
    epochs = sum(run.phases[0].epochs for run in small.experiments)
    assert epochs * 50_000 * len(small.seeds) == 3.375e6


@pytest.mark.parametrize("size, rate, peak", [("cpu", 0.05, 0.2), ("full", 0.2, 0.4)])
def test_rates_and_momentum_are_what_the_docstring_says(module, size, rate, peak):
    runs = {run.name: run for run in module.sizes[size].experiments}

    def at(name, setting, shares):
        plan = runs[name].plan(50_000)
        schedule = plan.schedule(runs[name].optimizer.schedules()[setting])
        return [schedule(round(share * plan.total_steps)).item() for share in shares]

    np.testing.assert_allclose(
        at("multi_step", "lr", (0, 0.49, 0.51, 0.79, 0.81)),
        rate * np.array([1, 1, 0.1, 0.1, 0.01]),
        rtol=1e-6,
    )
    for name in runs.keys() - {"multi_step"}:
        # Up in 0.3 of the run; at 0.65, half of the way down, the cosine is at its middle.
        np.testing.assert_allclose(
            at(name, "lr", (0, 0.3, 0.65)), peak * np.array([0.04, 1, 0.5]), rtol=5e-3
        )
        np.testing.assert_allclose(
            at(name, "momentum", (0, 0.3, 0.65)), (0.95, 0.85, 0.9), atol=1e-3
        )


def test_a_quarter_of_an_hour_has_both_ends_of_the_full_ladder_and_a_longer_run(module):
    full = {run.name: run for run in module.sizes["full"].experiments}
    fastest, longer, baseline = module.sizes["quarter_hour"].experiments
    assert (fastest, baseline) == (full["speedrun"], full["multi_step"])
    assert differences(describe(fastest), describe(longer)) == {".name", ".phases"}
    epochs = [run.phases[0].epochs for run in (fastest, longer, baseline)]
    assert epochs == [16, 30, 50]


def test_sizes_are_those_of_the_docstring(module):
    small, full = (module.sizes[size] for size in SIZES)
    assert {(run.task.model.stages, run.task.model.width) for run in small.experiments} == {
        ((1, 1, 1, 1), 64 // 8)
    }
    assert {
        (run.task.model.stages, run.task.model.width, run.precision) for run in full.experiments
    } == {((2, 2, 2, 2), 64, "bfloat16")}
    assert (small.target, full.target) == (0.60, 0.94)
    assert len(small.seeds) == len(full.seeds) == 10
    assert max(small.seeds) < 100, "the pilots' seeds start there"


def test_committed_records_are_of_this_study_on_the_test_split(module):
    small = module.sizes["cpu"]
    assert StudyManifest.read(RESULTS / MANIFEST_FILE) == small.manifest()
    records = Results.read([RESULTS]).records
    assert [(r.name, r.header["digest"], r.header["seed"]) for r in records] == [
        (run.name, run.digest(), seed) for run in small.experiments for seed in small.seeds
    ]
    for record in records:
        assert record.header["evaluated_on"] == "test"
        assert record.header["command"].startswith("jaxsched bench experiments/speedrun.py")
