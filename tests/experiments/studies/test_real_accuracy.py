"""The study of a real accuracy: its updates by hand, and the noise of a batch that grows."""

import pytest


@pytest.fixture(scope="module")
def study(load_experiment):
    return load_experiment("studies/real_accuracy")


@pytest.fixture(scope="module")
def runs(study):
    rates = {"steps": 0.1, "one_cycle": 0.2, "growth": 0.1}
    return {run.name: run for run in study.study(rates).experiments}


def test_runs_take_as_many_updates_as_counted_by_hand(runs):
    found = {name: run.plan(50_000).total_steps for name, run in runs.items()}
    steps = 5079  # 13 epochs of 390.625
    # 195,000 images at 128 and as many at 640, then 130,000 at 3,200 and as many at 4,992; an
    # update that crosses a border counts for the phase in which it starts.
    growth = round(195_000 / 128 + 195_000 / 640 + 130_000 / 3200 + 130_000 / 4992)
    assert found == {"steps": steps, "one_cycle": steps, "growth": pytest.approx(growth, abs=2)}
    assert growth / steps == pytest.approx(0.37, abs=0.005)


def test_the_growing_batch_keeps_the_noise_of_steps(runs):
    """By g = lr N / (B (1 − momentum)), at the middle of each phase."""
    steps, growth = runs["steps"], runs["growth"]
    rates = (
        growth.plan(50_000).resolve(growth.optimizer.lr),
        steps.plan(50_000).resolve(steps.optimizer.lr),
    )
    begin = 0.0
    for phase in growth.phases:
        middle = begin + phase.epochs / 2
        ours, theirs = (rate(middle).item() for rate in rates)
        assert ours / phase.batch_size == pytest.approx(theirs / 128, rel=1e-3)
        begin += phase.epochs
    assert growth.optimizer.momentum(0.0).item() == pytest.approx(0.9)


def test_the_contenders_share_what_is_not_theirs(runs):
    assert len({run.task for run in runs.values()}) == 1
    assert {run.optimizer.nesterov for run in runs.values()} == {True}
    for run in runs.values():
        assert run.optimizer.schedules()["weight_decay"](0).item() == pytest.approx(5e-4)
