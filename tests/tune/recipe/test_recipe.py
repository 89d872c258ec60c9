"""A recipe: what it makes of an experiment, finds by its runs, and refuses."""

import dataclasses
import json

import numpy as np
import pytest

import jaxsched as js
from jaxsched.experiment import Experiment
from jaxsched.experiment.files import load_value
from jaxsched.models import Network
from jaxsched.tracking import read_records
from jaxsched.tune import RangeTest, Recipe, RecipeRuns, write_recipe

TEST = RangeTest(low=1e-3, high=100.0, num_updates=100, seeds=(0,))


def recipe_of(experiment, **changes):
    given = {"test": TEST, "weight_decays": (1e-3, 0.0), "momenta": (0.9, 0.95), "epochs": 1.0}
    return Recipe(**{"experiment": experiment, "refine": 0, "compare": False, **given, **changes})


def runs_of(recipe, folder, progress, check=lambda: None):
    return RecipeRuns(
        recipe, folder, source_text="", progress=progress, choice="in_turn", check=check
    )


def test_the_cycle_takes_the_place_of_schedules_and_memories(experiment):
    optimizer = js.SGD(
        js.MultiStep(0.1, milestones=(1,)),
        momentum=0.9,
        weight_decay=2e-4,
        nesterov=True,
        abel=js.Abel(0.2),
        averaging=js.Averaging(start="50%"),
    )
    phases = (js.Phase(3, 16), js.Phase(2, 32))
    given = dataclasses.replace(experiment, optimizer=optimizer, phases=phases)
    found = recipe_of(given).one_cycle(0.5)
    cycle = js.OneCycle(0.5, duration="100%", div_factor=10.0)
    assert found.optimizer == js.SGD(
        cycle, momentum=cycle.momentum(0.95, 0.85), weight_decay=2e-4, nesterov=True
    )
    assert found.phases == (js.Phase(5, 16),)
    assert found.task == given.task
    adam = recipe_of(dataclasses.replace(given, optimizer=js.Adam(0.1))).one_cycle(0.5)
    assert adam.optimizer == js.Adam(cycle)


@pytest.mark.slow
def test_what_it_finds_is_what_its_runs_say_and_trains(experiment, tmp_path, progress):
    runs = runs_of(recipe_of(experiment), tmp_path, progress)
    found = runs.find()
    rate, decay, momentum = runs.reasons
    assert rate.title == f"Learning rate: up to {found.optimizer.lr.peak:g}, by the rule `bottom`"
    assert f"{found.optimizer.lr.peak:.1g}"[0] in rate.text(80)
    assert found.optimizer.weight_decay in (js.Constant(1e-3), js.Constant(0.0))
    assert decay.title == f"Weight decay: {found.optimizer.weight_decay.value:g}"
    assert found.optimizer.momentum.high in (0.9, 0.95) and found.optimizer.momentum.low == 0.85
    assert momentum.title.startswith(f"Momentum: {found.optimizer.momentum.high:g}")
    assert all(reason.plot.is_file() for reason in runs.reasons)

    records = sorted(tmp_path.rglob("*.json*"))
    times = {path: path.stat().st_mtime_ns for path in records if path.suffix == ".jsonl"}
    assert len(times) == 4
    again = runs_of(recipe_of(experiment), tmp_path, progress)
    assert again.find() == found
    assert {path: path.stat().st_mtime_ns for path in times} == times

    path = tmp_path / "one_cycle.py"
    write_recipe(found, runs.reasons, "a test", path)
    assert load_value(path, "experiment", Experiment) == found
    assert rate.title in path.read_text() and "| weight decay |" in path.read_text()


@pytest.mark.slow
def test_the_range_test_can_read_held_out_examples(experiment, tmp_path, progress):
    test = dataclasses.replace(TEST, validate_every=5)
    runs = runs_of(
        recipe_of(experiment, test=test, weight_decays=(), momenta=()), tmp_path, progress
    )
    found = runs.find()
    (path,) = tmp_path.rglob("seed0.json")
    validation = json.loads(path.read_text())["validation"]
    curve = js.RangeCurve(np.array(validation["values"]), np.array(validation["losses"]))
    assert found.optimizer.lr.peak == float(f"{js.suggest(curve).maximum:.2g}")
    assert "Read off the validation loss" in " ".join(runs.reasons[0].text(80).split())


@pytest.mark.slow
def test_the_better_of_recipe_and_given_config_is_returned(experiment, tmp_path, progress):
    """Read off the records by hand: the last accuracies of whole runs, on the same examples."""
    given = dataclasses.replace(experiment, optimizer=js.SGD(1e-6, momentum=0.9), name="slow")
    test = dataclasses.replace(TEST, seeds=(0, 1))
    recipe = recipe_of(given, test=test, weight_decays=(), momenta=(), compare=True)
    runs = runs_of(recipe, tmp_path, progress)
    found = runs.find()
    records, unreadable = read_records(sorted((tmp_path / "comparison").glob("*.jsonl")))
    assert len(records) == 4 and not unreadable
    means = {
        name: np.mean([r.evaluations[-1]["test_accuracy"] for r in records if r.name == name])
        for name in ("slow", "slow_one_cycle")
    }
    assert found.name == max(means, key=means.get)
    assert found == (given if found.name == "slow" else recipe.one_cycle(found.optimizer.lr.peak))
    title, report, _ = runs.reasons[-1]
    assert title.startswith(f"Taken: {found.name}")
    assert [row[1] for row in report.rows[1:]] == [
        f"{100 * m:.2f} ± {s:.2f}"
        for m, s in (
            (
                m,
                100
                * np.std(
                    [r.evaluations[-1]["test_accuracy"] for r in records if r.name == n], ddof=1
                ),
            )
            for n, m in means.items()
        )
    ]
    write_recipe(found, runs.reasons, "a test", tmp_path / "one.py")
    assert f"{title}." in (tmp_path / "one.py").read_text()


@pytest.mark.slow
def test_without_values_the_experiments_own_are_kept(experiment, tmp_path, progress):
    recipe = recipe_of(experiment, weight_decays=(), momenta=())
    found = runs_of(recipe, tmp_path, progress).find()
    assert found.optimizer.weight_decay == js.Constant(1e-3)
    assert (found.optimizer.momentum.high, found.optimizer.momentum.low) == (0.95, 0.85)


@pytest.mark.slow
def test_a_flat_range_makes_no_recipe(experiment, tmp_path, progress):
    test = RangeTest(low=1e-9, high=1e-8, num_updates=40, seeds=(0,))
    runs = runs_of(recipe_of(experiment, test=test), tmp_path, progress)
    with pytest.raises(ValueError, match="small: No learning rate is suggested: from 1e-09"):
        runs.find()


def test_it_is_refused_before_anything_runs(experiment):
    @dataclasses.dataclass(frozen=True)
    class Mine(Network):
        pass

    with pytest.raises(ValueError, match="Mine cannot be imported by a config file"):
        recipe_of(experiment.with_task(model=Mine()))
    mine = dataclasses.replace(experiment, optimizer=js.SGD(lambda epoch: 0.1))
    with pytest.raises(ValueError, match=r"as it was given would be written .* \(--no-compare\)"):
        recipe_of(mine, compare=True)
    recipe_of(mine)
    with pytest.raises(ValueError, match=r"momenta within \[0.85, 1\), .* got \(0.5,\)"):
        recipe_of(experiment, momenta=(0.5,))
    lion = js.FromOptax(lambda: None, {})
    with pytest.raises(ValueError, match="expected a schedule 'lr' or 'learning_rate'"):
        recipe_of(dataclasses.replace(experiment, optimizer=lion))
