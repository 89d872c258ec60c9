"""The study of schedules: its runs against the source's arithmetic and torch's conventions."""

import dataclasses

import numpy as np
import pytest

# 391 updates an epoch there, with a ragged last batch; ours has no ragged batch: 50,000 / 128.
EPOCHS = {
    "multi_step": 50,
    "cosine": 50,
    "restarts": 60,
    "one_cycle": 50,
    "one_cycle_short": 30,
    "group_norm": 50,
}


@pytest.fixture(scope="module")
def study(load_experiment):
    return load_experiment("studies/lr_schedulers")


@pytest.fixture(scope="module")
def full(study):
    return {run.name: run for run in study.sizes["full"].experiments}


def rate(run, epoch):
    """Of an experiment on all of CIFAR-10, at an epoch."""
    plan = run.plan(50_000)
    step = round(epoch * plan.total_steps / run.phases[0].epochs)
    return plan.schedule(run.optimizer.schedules()["lr"])(step).item()


def test_full_runs_have_the_source_s_epochs_and_small_ones_equal_updates(study, full):
    assert {name: run.phases[0].epochs for name, run in full.items()} == EPOCHS
    small = {run.name: run.plan(10_000).total_steps for run in study.sizes["cpu"].experiments}
    assert small == {**dict.fromkeys(EPOCHS, 3125), "one_cycle_short": 1875}
    assert set(study.PUBLISHED) == set(EPOCHS)


@pytest.mark.parametrize(
    "name, rates",
    [
        ("multi_step", {0: 0.05, 24.9: 0.05, 25.1: 0.005, 39.9: 0.005, 40.1: 0.0005}),
        ("cosine", {0: 0.2, 25: 0.1, 50: 0}),
        ("restarts", {0: 0.2, 10: 0.1, 20.01: 0.2, 40: 0.1, 59.9: 0}),
        ("one_cycle", {0: 0.1 / 25, 15: 0.1, 49.99: 0.1 / 25 / 1e4}),
        ("one_cycle_short", {0: 0.1 / 25, 9: 0.1, 29.99: 0.1 / 25 / 1e4}),
        ("group_norm", {0: 0.05, 25.1: 0.005, 40.1: 0.0005}),
    ],
)
def test_rates_are_the_source_s(full, name, rates):
    found = [rate(full[name], epoch) for epoch in rates]
    np.testing.assert_allclose(found, list(rates.values()), rtol=2e-3, atol=5e-5)


def test_only_group_norm_has_another_network(study):
    """At full size also a quarter of the batch, as in the source."""
    for size, batch_sizes in {"cpu": (32, 32), "full": (128, 32)}.items():
        *others, last = study.sizes[size].experiments
        assert {run.phases[0].batch_size for run in others} == {batch_sizes[0]}
        assert len({run.task.model for run in others}) == 1
        assert (last.name, last.phases[0].batch_size) == ("group_norm", batch_sizes[1])
        assert last.task.model not in {run.task.model for run in others}


def test_a_quarter_of_an_hour_has_full_runs_in_bfloat16(study, full):
    quick = study.sizes["quarter_hour"].experiments
    assert [run.name for run in quick] == ["multi_step", "one_cycle", "cosine"]
    for run in quick:
        assert run == dataclasses.replace(full[run.name], precision="bfloat16")
