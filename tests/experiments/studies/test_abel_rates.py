"""The study of base rates: a part of the study of ABEL, at three rates."""

import pytest


@pytest.fixture(scope="module")
def study(load_experiment):
    return load_experiment("studies/abel_rates")


def test_its_runs_are_those_of_the_whole_study_in_both_sizes(load_experiment, study):
    whole = load_experiment("studies/abel")
    for size in ("cpu", "full"):
        digests = {run.digest() for run in whole.sizes[size].experiments}
        assert {run.digest() for run in study.sizes[size].experiments} < digests


def test_both_schedules_start_from_each_rate(study):
    for size in study.sizes.values():
        rates = {"steps": [], "abel": []}
        for run in size.experiments:
            schedule = "abel" if run.optimizer.abel else "steps"
            lr = run.plan(50_000).schedule(run.optimizer.schedules()["lr"])
            rates[schedule].append(lr(0).item())
        assert rates["steps"] == rates["abel"] == pytest.approx([0.025, 0.1, 0.4])
