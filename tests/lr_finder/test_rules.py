"""The rules on closed forms, against fastai's own, and under a change of units."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxsched as js
from jaxsched.lr_finder.rules import RULES, minimum_tenth, smith_max, smith_min, steepest, valley

X = np.linspace(-6, 1, 1401)
RATES = 10**X
SPACING = 10 ** (X[1] - X[0])


def fall(centre, width):
    """A loss that falls by 1.7 around a log rate, steepest there."""
    return 2.3 - 1.7 / (1 + np.exp(-(X - centre) / width))


def sparse(losses, every=7):
    return js.RangeCurve(RATES[::every], losses[::every])


@pytest.mark.parametrize("centre", [-3.0, -2.0])
@pytest.mark.parametrize("width", [0.3, 0.6])
def test_steepest_is_the_centre_of_a_logistic_fall(centre, width):
    curve = js.RangeCurve(RATES, fall(centre, width))
    assert abs(math.log10(steepest(curve)) - centre) < 0.02


def test_the_minimum_of_a_parabola_is_found_where_it_is():
    curve = js.RangeCurve(RATES, 1 + 0.2 * (X + 1.5) ** 2)
    # Its sides are not equally long, so the mean at the minimum is, barely, not symmetric.
    assert abs(math.log10(10 * minimum_tenth(curve)) + 1.5) < 0.05


def test_smith_max_is_where_a_flat_bottom_ends():
    rng = np.random.default_rng(0)
    bottom = np.interp(X, [-6, -4, -2, -0.5, 0], [2.3, 2.3, 0.6, 0.6, 2.3])
    found = []
    for _ in range(20):
        found.append(math.log10(smith_max(sparse(bottom + rng.normal(0, 0.1, len(X))))))
    assert 0 < np.median(found) + 0.5 < 0.2  # a mean of the losses so far is a little late
    assert np.ptp(found) < 0.3


def test_smith_max_heeds_an_accuracy_that_falls_before_the_loss_rises():
    rng = np.random.default_rng(0)
    losses = np.interp(X, [-6, -4, -2, -0.5, 0], [2.3, 2.3, 0.6, 0.6, 2.3])
    accuracies = np.interp(X, [-4, -2, -1.2, -0.5], [0.1, 0.8, 0.8, 0.1])
    noisy = [array + rng.normal(0, 0.05, len(X)) for array in (losses, accuracies)]
    assert abs(math.log10(smith_max(js.RangeCurve(RATES, *noisy))) + 1.2) < 0.2
    assert abs(math.log10(smith_max(js.RangeCurve(RATES, noisy[0]))) + 0.5) < 0.2


def test_smith_max_has_no_answer_where_the_range_ends_first():
    assert smith_max(js.RangeCurve(RATES, fall(-1.0, 0.5))) is None


def test_smith_max_is_the_last_point_before_losses_that_are_not_finite():
    losses = fall(-2.0, 0.3)
    losses[1100:] = np.nan
    assert smith_max(js.RangeCurve(RATES, losses)) == RATES[1099]


def test_smith_min_is_where_a_tenth_of_the_improvement_is_reached():
    curve = js.RangeCurve(RATES, fall(-2.0, 0.3))
    tenth = -2.0 - 0.3 * math.log(9)
    # The mean widens a fall, so it starts earlier.
    assert -0.3 < math.log10(smith_min(curve)) - tenth < 0


@pytest.mark.parametrize("rule", RULES.values())
def test_flat_and_short_curves_have_no_answer(rule):
    noise = np.random.default_rng(0).normal(0, 0.1, len(X))
    assert rule(js.RangeCurve(RATES, 2.3 + noise)) is None
    assert rule(js.RangeCurve(RATES, np.full(len(X), 2.3))) is None
    assert rule(js.RangeCurve(RATES[:5], fall(-2, 0.3)[:5])) is None
    assert rule(js.RangeCurve(RATES, 0.5 + RATES)) is None  # rises from the start


def fastai_valley(lrs, losses):
    """The procedure of fastai's `valley` at 0a049e8, with all lengths compared pairwise."""
    number = len(losses)
    lengths = [1] * number
    for i in range(1, number):
        for j in range(i):
            if losses[i] < losses[j]:
                lengths[i] = max(lengths[i], lengths[j] + 1)
    end = lengths.index(max(lengths))
    start = end - lengths[end]
    third = lengths[end] / 3
    return lrs[max(0, start + int(third) + int(third / 2))]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.3]))
@settings(max_examples=40, deadline=None)
def test_valley_is_fastais(seed, noise):
    drawn = np.random.default_rng(seed).normal(0, noise, len(X))
    curve = sparse(fall(-2.0, 0.4) + RATES**4 + drawn, every=14)
    losses, mean, means = curve.looked_at_losses, 0.0, []
    for count, loss in enumerate(losses, start=1):  # AvgSmoothLoss of fastai
        mean = loss + 0.98 * (mean - loss)
        means.append(mean / (1 - 0.98**count))
    first = len(losses) // 10
    rates = curve.values[curve.looked_at]
    assert valley(curve) == fastai_valley(rates[first:], means[first:])


SHAPES = {
    "fall and rise": fall(-2.0, 0.4) + RATES**2,
    "cliff": fall(-0.5, 0.1) + np.exp((X - 0.2) / 0.06),
    "falls for ever": -np.cumsum(RATES) / 10,
    "flat, then diverges": np.exp(X / 0.12),
    "hardly falls": fall(-2.0, 0.4) / 10 + RATES**3,
}


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.floats(1e-3, 1e3),
    st.sampled_from([2.0**-20, 0.25, 16.0]),
    st.sampled_from([0.0, 1.0, -4.0, 2.0**16]),
)
@settings(max_examples=40, deadline=None)
def test_rules_scale_with_the_units_of_learning_rate_and_loss(
    seed, shape, noise, rate_unit, loss_unit, offset
):
    """lr → c · lr multiplies every answer by c; loss → a · loss + b changes none."""
    drawn = np.random.default_rng(seed).normal(0, noise, len(X))
    losses = (np.minimum(SHAPES[shape], 1e3) + drawn)[::7]
    # A grid of the losses that a and b keep exactly, so that no tie is broken by rounding.
    losses = np.round(losses * 2**15) / 2**15
    curve = js.RangeCurve(RATES[::7], losses)
    moved = js.RangeCurve(rate_unit * RATES[::7], loss_unit * losses + offset)
    assert curve.diverged_at == moved.diverged_at
    for name, rule in RULES.items():
        was, now = rule(curve), rule(moved)
        assert (was is None) == (now is None), name
        if was is not None:
            assert now == pytest.approx(rate_unit * was, rel=1e-9), name


@pytest.mark.parametrize(("unit", "zero"), [(1e-6, 0.3), (1e6, -7e8), (0.7, 1e6), (3.0, -1.0)])
def test_suggestions_do_not_depend_on_the_unit_or_the_zero_of_the_loss(unit, zero):
    """The same where the loss is rounded in its new unit, with noise and without."""
    for seed, sd in ((0, 0.1), (1, 0.1), (2, 0.0)):
        noise = np.random.default_rng(seed).normal(0, sd, len(X))
        for losses in SHAPES.values():
            given = (np.minimum(losses, 1e3) + noise)[::7]
            was, now = (
                js.suggest(js.RangeCurve(RATES[::7], series))
                for series in (given, unit * given + zero)
            )
            for name, suggestion in was.by_rule.items():
                assert now.by_rule[name].values == suggestion.values, name
            assert len(now.statements) == len(was.statements)
