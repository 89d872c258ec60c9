"""Means, slopes and noise against loops in plain Python, and their variance for pure noise."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsched.lr_finder.smoothing import (
    centred_mean,
    debiased_mean,
    effective_numbers,
    local_slope,
    noise_sd,
)

losses = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=40)
betas = st.floats(0.05, 0.99)


def weighted(series, weights):
    return math.fsum(w * v for w, v in zip(weights, series, strict=True)) / math.fsum(weights)


def distances(i, number, beta):
    return [beta ** abs(i - j) for j in range(number)]


@given(losses, betas)
@settings(max_examples=60, deadline=None)
def test_means_are_the_formula(series, beta):
    number = len(series)
    for i, (so_far, centred) in enumerate(
        zip(debiased_mean(series, beta), centred_mean(series, beta), strict=True)
    ):
        weights = distances(i, number, beta)
        assert so_far == pytest.approx(weighted(series[: i + 1], weights[: i + 1]), abs=1e-10)
        assert centred == pytest.approx(weighted(series, weights), abs=1e-10)


@given(losses, betas, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_slope_is_that_of_the_weighted_least_squares_line(series, beta, seed):
    x = np.cumsum(np.random.default_rng(seed).uniform(0.1, 1, len(series)))
    slopes, errors = local_slope(x, series, beta)
    for i in range(len(series)):
        root = np.sqrt(distances(i, len(series), beta))
        design = np.stack([np.ones_like(x), x - x[i]], axis=1) * root[:, None]
        if np.linalg.cond(design) > 1e5:
            continue
        solver = np.linalg.pinv(design) * root
        assert slopes[i] == pytest.approx(solver[1] @ series, rel=1e-5, abs=1e-5)
        assert errors[i] == pytest.approx(np.linalg.norm(solver[1]), rel=1e-5)


def test_debiased_mean_has_not_the_off_by_one_of_lightning():
    """Lightning 2.6.6 divides by 1 − β^(steps + 1) after the step is counted."""
    beta, mean, recorded = 0.98, 0.0, []
    for global_step in (1, 2, 3):  # as its callback sees it
        mean = beta * mean + (1 - beta) * 2.3
        recorded.append(round(mean / (1 - beta ** (global_step + 1)), 4))
    assert recorded == [1.1616, 1.5488, 1.7423]  # observed from Lightning itself
    assert debiased_mean([2.3] * 3, beta) == pytest.approx([2.3] * 3, rel=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.98])
def test_a_constant_stays_itself(beta):
    constant = np.full(300, 2.3)
    assert debiased_mean(constant, beta) == pytest.approx(constant, rel=1e-12)
    assert centred_mean(constant, beta) == pytest.approx(constant, rel=1e-12)


def test_centred_mean_does_not_lag_on_a_symmetric_curve():
    series = np.abs(np.arange(101) - 50.0)
    assert centred_mean(series, 0.9).argmin() == 50
    assert debiased_mean(series, 0.9).argmin() > 55


def test_effective_numbers_are_the_variance_that_means_of_noise_have():
    noise = np.random.default_rng(0).normal(size=(4000, 60))
    means = np.array([centred_mean(row, 0.8) for row in noise])
    expected = 1 / effective_numbers(60, 0.8)
    # A variance of 4000 draws has a standard error of √(2 / 4000) = 2.2 %.
    assert means.var(axis=0) == pytest.approx(expected, rel=0.1)
    assert effective_numbers(2001, 0.8)[1000] == pytest.approx(1.8**3 / (0.2 * 1.64))


def test_noise_sd_finds_the_noise_around_any_line_and_passes_over_a_divergence():
    rng = np.random.default_rng(1)
    line = np.linspace(3, 1, 400)
    found = [noise_sd(line + rng.normal(0, 0.2, 400), 0.95) for _ in range(50)]
    assert statistics.mean(found) == pytest.approx(0.2, rel=0.05)
    exploding = line + rng.normal(0, 0.2, 400)
    exploding[-20:] += 10
    assert noise_sd(exploding, 0.95) == pytest.approx(0.2, rel=0.35)


@pytest.mark.parametrize(
    ("series", "beta", "message"),
    [
        ([], 0.5, "a series of at least one loss, got an array of shape"),
        ([[1.0]], 0.5, r"got an array of shape \(1, 1\)"),
        ([1.0], 1.0, r"beta within \[0, 1\), got 1.0"),
    ],
)
def test_anything_but_a_series_is_refused(series, beta, message):
    with pytest.raises(ValueError, match=message):
        centred_mean(series, beta)
