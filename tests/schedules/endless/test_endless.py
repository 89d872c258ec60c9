"""Schedules without an end, against the papers and code they come from."""

import math

import numpy as np
import optax
import pytest

import jaxsched as js

UPDATES = np.arange(120)


def test_inverse_sqrt_is_the_transformers(values):
    d, w = 512, 40
    t = UPDATES[1:]
    paper = d**-0.5 * np.minimum(t**-0.5, t * w**-1.5)
    ours = js.Warmup(js.InverseSqrt((d * w) ** -0.5, w, "held"), w)
    np.testing.assert_allclose(values(ours, t), paper, rtol=1e-6)


@pytest.mark.parametrize("shift", [0, 30])
def test_inverse_sqrt_is_big_visions(values, shift):
    w, timescale, peak = 10, 50, 0.3
    t = UPDATES[w:]
    theirs = peak / np.sqrt(1 + (t + shift - w) / timescale)
    shifted = js.InverseSqrt(peak * math.sqrt(timescale / (timescale + shift)), timescale + shift)
    ours = js.Sequence((js.Linear(0.0, peak, w), shifted), (w,))
    np.testing.assert_allclose(values(ours, t), theirs, rtol=1e-6)


@pytest.mark.parametrize(("rate", "end"), [(0.97, 0.1), (1.02, 0.6), (0.97, None)])
def test_exponential_with_an_end_is_optaxs(values, values_of_optax, rate, end):
    theirs = optax.exponential_decay(0.3, 1, rate, end_value=end)
    ours = js.Exponential(0.3, rate, end)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=2e-5)


@pytest.mark.parametrize("rate", [0.97, 1.02])
def test_the_span_of_an_exponential_is_when_it_keeps_its_value(rate):
    ours = js.Exponential(0.3, rate, end=0.3 * rate**40.5)
    assert ours.span().end == pytest.approx(40.5)
    assert ours(41) == ours(1000) != ours(40)


@pytest.mark.parametrize("power", [0.5, 0.75, 1.0])
def test_inverse_time_is_caffes_inv(values, power):
    """Caffe's sgd_solver.cpp: base_lr * pow(1 + gamma * iter, -power)."""
    theirs = 0.3 * (1 + 0.01 * UPDATES) ** -power
    np.testing.assert_allclose(values(js.InverseTime(0.3, 100, power)), theirs, rtol=1e-6)
