"""The part of a curve that the rules use, and the update at which a run has diverged."""

import itertools
import math
import statistics

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
    medians = {}
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            return i
        if i >= 17:
            medians[i] = statistics.median(losses[i - 8 : i + 1])
        if i >= 26:
            pairs = itertools.combinations_with_replacement(medians.values(), 2)
            fall = max(before - after for before, after in pairs)
            settled = losses[9 : i - 8]
            change = statistics.fmean(abs(b - a) for a, b in itertools.pairwise(settled))
            rise = medians[i] - min(medians.values())
            if rise > (factor - 1) * max(fall, 10 * change) > 0:
                return i
    return None


# Eighths, whose sums are exact in any order, so that ties are ties in both.
finite_losses = st.one_of(*(st.integers(-n, n).map(lambda n: n / 8) for n in (2, 24, 2400)))


@given(
    st.lists(finite_losses, max_size=50),
    st.lists(st.one_of(finite_losses, st.just(1e6), st.just(math.nan)), max_size=15),
    st.sampled_from([1.5, 2.0, 4.0]),
)
@settings(max_examples=150, deadline=None)
def test_divergence_is_the_rule_of_the_docstring(losses, end, factor):
    losses = losses + end
    assert find_divergence(losses, factor) == naive_divergence(losses, factor)
    assert has_diverged(losses, factor) == (naive_divergence(losses, factor) is not None)


def falls_and_blows_up(start, noise, seed):
    """Falls by 1 around a rate of 0.01, and is above its start from a rate of 1 on."""
    drawn = np.random.default_rng(seed).normal(0, noise, 200)
    return start - 1 / (1 + (0.01 / RATES) ** 2) + RATES**3 + drawn


@pytest.mark.parametrize("start", [0.0, 2.3, -5.0, 1e6])
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_blow_ups_are_found_soon_and_nothing_else_wherever_the_loss_starts(start, noise):
    for seed in range(200):
        found = find_divergence(falls_and_blows_up(start, noise, seed))
        assert found is not None and 1 < RATES[found] < 4


FALL = 1.7 / (1 + np.exp(-(np.log10(RATES) + 2) / 0.3))
WITHOUT_END = {
    "is constant": lambda rng: np.full(200, 2.5),
    "is noise": lambda rng: rng.normal(0, 0.1, 200),
    "rises slowly": lambda rng: np.linspace(0, 2, 200) + rng.normal(0, 0.1, 200),
    "falls": lambda rng: -FALL + rng.normal(0, 0.1, 200),
    "falls for ever": lambda rng: -np.cumsum(RATES) + rng.normal(0, 0.1, 200),
    "has outliers": lambda rng: 0.1 * rng.standard_cauchy(200),
    "is mostly 0": lambda rng: (rng.random(200) < 0.05) - FALL,
    "has ever more noise": lambda rng: rng.normal(0, np.geomspace(0.01, 1, 200)),
    "settles first": lambda rng: 50 * np.exp(-np.arange(200) / 3) + rng.normal(0, 0.1, 200),
    "rises for a while": lambda rng: (
        np.exp(-((np.log10(RATES) + 3.5) ** 2) / 0.16) - FALL + rng.normal(0, 0.05, 200)
    ),
}


@pytest.mark.parametrize("shape", WITHOUT_END)
def test_losses_that_do_not_blow_up_have_not_diverged(shape):
    drawn = [WITHOUT_END[shape](np.random.default_rng(seed)) for seed in range(100)]
    assert [find_divergence(losses) for losses in drawn] == [None] * 100


@pytest.mark.parametrize("shape", WITHOUT_END)
def test_every_loss_that_blows_up_is_found_within_twenty_updates_or_so(shape):
    blow_up = np.where(np.arange(200) < 150, 0, 1.25 ** np.arange(-150.0, 50.0))
    blow_up *= 1000 if shape == "has outliers" else 1
    for seed in range(100):
        losses = WITHOUT_END[shape](np.random.default_rng(seed)) + blow_up
        found = find_divergence(losses)
        assert found is not None and 150 <= found <= 170 + 5 * (shape == "has ever more noise")


@given(
    st.sampled_from(sorted(WITHOUT_END)),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from([2.0**-20, 0.5, 1.0, 1024.0]),
    st.sampled_from([0.0, 3.0, -5.0, 2.0**18]),
)
@settings(max_examples=60, deadline=None)
def test_divergence_does_not_know_the_unit_or_the_zero_of_the_loss(shape, seed, ends, unit, zero):
    losses = WITHOUT_END[shape](np.random.default_rng(seed)) + ends * RATES**3
    # A grid of the losses on which unit and zero round nothing.
    losses = np.round(np.clip(losses, -1000, 1000) * 2**10) / 2**10
    for factor in (1.5, 4.0):
        assert find_divergence(unit * losses + zero, factor) == find_divergence(losses, factor)


def test_a_factor_of_infinity_leaves_only_losses_that_are_not_finite():
    losses = falls_and_blows_up(2.3, 0.1, seed=0)
    assert find_divergence(losses, math.inf) is None
    assert find_divergence([*losses, math.nan], math.inf) == 200
    curve = js.RangeCurve(RATES, losses)
    assert curve.diverged_at == find_divergence(losses)
    assert js.RangeCurve(RATES, losses, stop_factor=math.inf).diverged_at is None
    with pytest.raises(ValueError, match=r"a factor above 1, got 1; .*math.inf switches"):
        has_diverged([1.0], factor=1)
    with pytest.raises(ValueError, match="a factor above 1, got nan"):
        js.RangeCurve([1.0], [1.0], stop_factor=math.nan)
    with pytest.raises(ValueError, match=r"a series of losses, got an array of shape \(1, 2\)"):
        find_divergence([[1.0, 2.0]])


def test_a_run_that_comes_back_after_a_divergence_has_not_ended_above_its_start():
    losses = 2.3 - FALL
    losses += np.random.default_rng(0).normal(0, 0.02, 200)
    losses[100:115] = 40.0
    curve = js.RangeCurve(RATES, losses)
    assert curve.diverged_at is not None and not curve.ends_above_start
    stopped = slice(curve.diverged_at + 1)
    assert js.RangeCurve(RATES[stopped], losses[stopped]).ends_above_start


@pytest.mark.parametrize("blow_up", [math.nan, math.inf, 1e30])
def test_a_divergence_of_any_size_moves_no_point_before_it(blow_up):
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    losses = 2.3 - 1.7 / (1 + (0.01 / RATES) ** 2) + noise
    reference = js.RangeCurve(RATES[:150], losses[:150])
    losses[150:] = blow_up
    curve = js.RangeCurve(RATES, losses)
    assert curve.looked_at == slice(0, 150)
    assert np.array_equal(curve.smoothed, reference.smoothed)
    # A median of nine is moved by the fifth of them.
    assert curve.diverged_at == (154 if math.isfinite(blow_up) else 150)
    assert curve.ends_above_start and not reference.ends_above_start


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
