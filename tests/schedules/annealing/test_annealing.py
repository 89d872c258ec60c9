"""Schedules that fall over a known time, against papers and their parts."""

import math

import numpy as np
import optax
import pytest

import jaxsched as js

UPDATES = np.arange(120)


def test_wsd_is_its_three_parts_in_sequence(values):
    parts = (js.Linear(0.01, 0.3, 10), js.Constant(0.3), js.Cosine(0.3, 30, 0.02))
    ours = js.WSD(0.3, 100, cooldown=30, warmup=10, end=0.02, start=0.01, shape="cosine")
    np.testing.assert_allclose(values(ours), values(js.Sequence(parts, (10, 70))), rtol=1e-6)


def test_minicpm_halves_at_regular_intervals(values):
    """MiniCPM's cool-down is 0.5^(u / T); four halvings end at a sixteenth."""
    ours = js.WSD(1.0, 100, cooldown=40, end=1 / 16, shape="exponential")
    np.testing.assert_allclose(values(ours, [60, 70, 80, 90, 100]), 0.5 ** np.arange(5), rtol=1e-6)


def test_rex_constants(values):
    z = 1 - np.minimum(UPDATES / 100, 1)
    np.testing.assert_allclose(values(js.Rex(0.3, 100)), 0.3 * z / (0.5 + 0.5 * z), rtol=1e-6)
    port = 0.3 * z / (0.1 + 0.9 * z)
    np.testing.assert_allclose(values(js.Rex(0.3, 100, alpha=0.9)), port, rtol=1e-6)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_cosine_is_optaxs(values, values_of_optax, exponent):
    theirs = optax.cosine_decay_schedule(0.3, 100, alpha=0.1, exponent=exponent)
    ours = js.Cosine(0.3, 100, 0.03, exponent=exponent)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5, atol=1e-6)


def test_a_tanh_ends_in_a_jump_at_the_very_update():
    tanh = js.Tanh(1.0, 90, end=0.25)
    assert tanh(60) == np.float32(0.625)  # half way, two thirds of the run
    before, after = tanh(np.array([89, 90]))
    assert after == np.float32(0.25)
    assert before == pytest.approx(0.25 + 0.75 * (1 - math.tanh(3 - 9 / 90)) / 2, rel=1e-6)
    assert js.Tanh(1.0, 90, lower=-1e6, upper=1e6)(44) == 1.0
