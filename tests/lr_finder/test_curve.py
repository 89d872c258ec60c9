"""The part of a curve that the rules use, and the update at which a run has diverged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxsched as js
from jaxsched.lr_finder.divergence import find_divergence, has_diverged
from jaxsched.lr_finder.trend import find_trend

RATES = np.geomspace(1e-5, 10, 200)


def naive_divergence(losses, factor):
    """The rule of the docstring, in plain Python."""
    best = math.inf
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            return i
        weights = [0.9 ** (i - j) for j in range(i + 1)]
        mean = math.fsum(w * v for w, v in zip(weights, losses, strict=False)) / math.fsum(weights)
        if i >= 9:
            best = min(best, mean)
            if mean > best + (factor - 1) * abs(best) + 1e-12:
                return i
    return None


@given(
    st.lists(
        st.one_of(st.floats(0.1, 3), st.floats(0.1, 300), st.just(math.nan)),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([2.0, 4.0]),
)
@settings(max_examples=100, deadline=None)
def test_divergence_is_the_rule_of_the_docstring(losses, factor):
    assert find_divergence(losses, factor) == naive_divergence(losses, factor)
    assert has_diverged(losses, factor) == (naive_divergence(losses, factor) is not None)


def test_divergence_is_not_called_by_noise_at_the_start_nor_below_zero():
    losses = [0.01, *[2.0] * 60]  # the first point alone would make 4 times the best 0.04
    assert find_divergence(losses) is None
    assert find_divergence([-2.0] * 30 + [-1.9] * 30) is None
    assert find_divergence([-2.0] * 30 + [60.0] * 5) == 30  # a mean of 4.2, above −2 + 3 · 2
    with pytest.raises(ValueError, match="a factor above 1, got 1"):
        has_diverged([1.0], factor=1)


@pytest.mark.parametrize("blow_up", [math.nan, math.inf, 1e30])
def test_a_divergence_of_any_size_moves_no_point_before_it(blow_up):
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    losses = 2.3 - 1.7 / (1 + (0.01 / RATES) ** 2) + noise
    reference = js.RangeCurve(RATES[:150], losses[:150])
    losses[150:] = blow_up
    curve = js.RangeCurve(RATES, losses)
    assert curve.looked_at == slice(0, 150)
    assert np.array_equal(curve.smoothed, reference.smoothed)
    assert curve.diverged_at == 150 and curve.ends_above_start and not reference.ends_above_start


def test_an_outlier_that_comes_back_is_clipped():
    losses = np.linspace(3, 1, 200)
    losses[120] = 1000.0
    curve = js.RangeCurve(RATES, losses)
    assert curve.num_looked_at == 200
    assert curve.looked_at_losses[120] == 3.0


def test_a_linear_range_may_start_at_zero():
    curve = js.RangeCurve(np.linspace(0, 3, 100), np.linspace(3, 1, 100), axis="linear")
    assert curve.looked_at == slice(1, 100)
    trend = find_trend(curve)
    assert trend is not None and np.isfinite(trend.slopes).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [1.0]), r"series of one length, at least 1, got shapes \(2,\), \(1,\)"),
        (([], []), "at least 1"),
        (([2.0, 1.0], [1.0, 1.0]), "that ascend, got"),
        (([-1.0, 1.0], [1.0, 1.0]), "at least 0 that ascend"),
        (([1.0, 2.0], [math.nan, 1.0]), "first loss, got nan at the lowest value, 1; start"),
        (([1.0], [1.0], None, None, "cubic"), "axis 'log' or 'linear', got 'cubic'"),
    ],
)
def test_arrays_that_are_no_curve_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        js.RangeCurve(*arguments)


def test_flat_curves_are_called_flat_and_one_in_a_hundred_at_most_is_not():
    rng = np.random.default_rng(0)
    for number in (100, 400):
        rates = np.geomspace(1e-5, 10, number)
        flat = [
            find_trend(js.RangeCurve(rates, 2.3 + rng.normal(0, 0.2, number))).is_flat
            for _ in range(300)
        ]
        assert np.mean(flat) >= 0.99


def test_flatness_is_not_called_where_there_is_an_improvement_of_three_noises():
    rng = np.random.default_rng(0)
    losses = 2.3 - 0.6 / (1 + (0.01 / RATES) ** 2)
    flat = [
        find_trend(js.RangeCurve(RATES, losses + rng.normal(0, 0.2, 200))).is_flat
        for _ in range(200)
    ]
    assert np.mean(flat) <= 0.01


def test_a_constant_is_flat():
    assert find_trend(js.RangeCurve(RATES, np.full(200, 2.3))).is_flat


def test_fewer_than_ten_points_have_no_trend():
    assert find_trend(js.RangeCurve(RATES[:9], np.linspace(2, 1, 9))) is None
