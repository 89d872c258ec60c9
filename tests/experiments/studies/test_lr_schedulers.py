"""The study of schedulers: its runs against the source's arithmetic and torch's conventions."""

import numpy as np
import pytest

# 391 updates an epoch there, with a ragged last batch; ours has no ragged batch: 50,000 / 128.
EPOCHS = {
    "multi_step": 50,
    "cosine_50": 50,
    "cosine_30": 30,
    "cosine_20": 20,
    "restarts": 60,
    "one_cycle_50": 50,
    "one_cycle_30": 30,
    "swa_10": 30,
    "swa_20": 40,
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


def test_runs_have_the_source_s_epochs_in_both_sizes(study, full):
    assert {name: run.phases[0].epochs for name, run in full.items()} == EPOCHS
    small = {run.name: run.phases[0].epochs for run in study.sizes["cpu"].experiments}
    assert small == {name: epochs / 5 for name, epochs in EPOCHS.items()}
    assert set(study.PUBLISHED) == set(EPOCHS)


@pytest.mark.parametrize(
    "name, rates",
    [
        ("multi_step", {0: 0.05, 24.9: 0.05, 25.1: 0.005, 39.9: 0.005, 40.1: 0.0005}),
        ("cosine_50", {0: 0.2, 25: 0.1, 50: 0}),
        ("cosine_20", {0: 0.2, 10: 0.1, 20: 0}),
        ("restarts", {0: 0.2, 10: 0.1, 20.01: 0.2, 40: 0.1, 59.9: 0}),
        ("one_cycle_50", {0: 0.1 / 25, 15: 0.1, 49.99: 0.1 / 25 / 1e4}),
        ("one_cycle_30", {0: 0.1 / 25, 9: 0.1, 29.99: 0.1 / 25 / 1e4}),
        ("swa_10", {6: 0.1, 20.01: 0.01, 29: 0.01}),
        ("swa_20", {6: 0.1, 20.01: 0.01, 39: 0.01}),
        ("group_norm", {0: 0.05, 25.1: 0.005, 40.1: 0.0005}),
    ],
)
def test_rates_are_the_source_s(full, name, rates):
    found = [rate(full[name], epoch) for epoch in rates]
    np.testing.assert_allclose(found, list(rates.values()), rtol=2e-3, atol=5e-5)


def test_only_group_norm_has_another_network_and_a_quarter_of_the_batch(study):
    for size, batch_size in {"cpu": 32, "full": 128}.items():
        *others, last = study.sizes[size].experiments
        assert {run.phases[0].batch_size for run in others} == {batch_size}
        assert len({run.task.model for run in others}) == 1
        assert last.name == "group_norm"
        assert last.phases[0].batch_size == batch_size // 4
