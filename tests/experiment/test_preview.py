"""The hyper-parameters drawn before a run are those that the run uses."""

import dataclasses

import numpy as np
import pytest

import jaxsched as js
from jaxsched.experiment import Preview
from jaxsched.train import train


@pytest.mark.slow
def test_the_preview_is_what_the_updates_use(experiment, program):
    shown = Preview.of(experiment, program.plan)
    rows = []
    train(program, seed=0, on_evaluation=rows.append)
    assert shown.steps.tolist() == list(range(16))
    for row in rows:
        last = row.step - 1
        assert row.learning_rate == pytest.approx(shown.curves["lr"][last], rel=1e-6)
        assert row.momentum == pytest.approx(shown.curves["momentum"][last], rel=1e-6)
        assert row.weight_decay == pytest.approx(shown.curves["weight_decay"][last], rel=1e-6)
        assert row.batch_size == shown.curves["batch_size"][last]
    examples = np.array([16 * s if s < 10 else 160 + 24 * (s - 10) for s in range(16)])
    np.testing.assert_allclose(shown.epochs, examples / 100, rtol=1e-6)
    lr, size = shown.curves["lr"], shown.curves["batch_size"]
    np.testing.assert_allclose(shown.curves["noise_scale"], lr / 0.1 * (100 / size - 1), rtol=1e-5)


def test_at_a_momentum_of_one_the_noise_is_left_out(experiment, program):
    optimizer = js.SGD(0.1, momentum=js.Linear(0.5, 1.0, duration="8 updates"))
    shown = Preview.of(dataclasses.replace(experiment, optimizer=optimizer), program.plan)
    noise = shown.curves["noise_scale"]
    assert np.isfinite(noise[:8]).all() and np.isnan(noise[8:]).all()
