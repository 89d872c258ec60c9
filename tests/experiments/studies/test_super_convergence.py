"""The study of super-convergence: its runs against the papers' arithmetic."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def study(load_experiment):
    return load_experiment("studies/super_convergence")


def values(study):
    """A value of the grid for each contender."""
    return {name: one.grid[0] for name, one in study.contenders(study.small).items()}


def in_updates(run, name, num_examples, steps):
    """A hyper-parameter at given updates."""
    schedule = run.plan(num_examples).schedule(run.optimizer.schedules()[name])
    return np.array([schedule(step) for step in steps])


def rate(run, num_examples, steps):
    return in_updates(run, "lr", num_examples, steps)


def test_both_shapes_take_one_four_and_eight_times_the_updates(study):
    made = study.study(values(study))
    found = {run.name: run.plan(2_000).total_steps for run in made.experiments}
    assert found == {
        f"{shape}{suffix}": 1500 * times
        for shape in ("steps", "cycle")
        for suffix, times in {"": 1, "_4x": 4, "_8x": 8}.items()
    }
    assert {run.task.augment.pad for run in made.experiments} == {0}  # mirrored only


def test_the_full_size_is_the_papers(study):
    """100 epochs at batch 512 are 9,766 updates; the log has 2,246 of 4,882 up for 50 epochs."""
    runs = {run.name: run for run in study.sizes["full"].experiments}
    half, length = 0.46 * 100 * 50_000 / 512, 100 * 50_000 / 512
    assert half / length == pytest.approx(2246 / 4882, abs=1e-3)
    steps = [0, 1000, 4400, 5000, 8000, 9700]
    expected = [
        0.1 + 0.9 * step / half if step <= half else max(1e-4, (2 * half - step) / half)
        for step in steps
    ]
    np.testing.assert_allclose(rate(runs["cycle"], 50_000, steps), expected, rtol=1e-5)
    found = rate(runs["steps_8x"], 50_000, [0, 48_000, 49_000, 68_000, 69_000])
    np.testing.assert_allclose(found, [0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-6)
    assert set(study.PUBLISHED) < set(runs)


def test_settings_differ_from_the_cycle_in_one_number(study):
    cycle, *others = study.settings(values(study)).experiments
    for run in others:
        changed = [
            name
            for name in ("lr", "momentum", "weight_decay")
            if getattr(run.optimizer, name) != getattr(cycle.optimizer, name)
        ]
        assert changed == ["weight_decay" if run.name.startswith("wd") else "momentum"]
        assert run.task == cycle.task and run.phases == cycle.phases
        if (number := run.name.rpartition("_")[2]) != "falling":
            found = in_updates(run, *changed, 2_000, [0, 700, 1499])
            np.testing.assert_allclose(found, float(number), rtol=1e-6)
    assert set(study.PUBLISHED_SETTINGS) == {"cycle", *study.SETTINGS} - {"momentum_falling"}


def test_the_momentum_falls_as_in_the_author_s_patch_while_the_rate_rises(study):
    """0.95 at both ends of the triangle, 0.8 at its top, after 46 % of 1,500 updates."""
    falling = study.settings(values(study)).experiments[-1]
    half, steps = 0.46 * 1500, [0, 1, 345, 690, 1000, 1379, 1400, 1499]
    expected = [0.95 - 0.15 * max(0.0, 1 - abs(step / half - 1)) for step in steps]
    found = in_updates(falling, "momentum", 2_000, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
