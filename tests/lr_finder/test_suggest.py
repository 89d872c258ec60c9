"""Suggestions for curves whose answer is known, in numbers and in words."""

import json
import math

import numpy as np
import pytest

import jaxsched as js
from jaxsched.lr_finder.rules import RULES
from jaxsched.lr_finder.suggest import MAXIMUM_RULE

X = np.linspace(-5, 1, 200)
RATES = 10**X


def curves(losses, noise=0.05, seeds=3):
    return [
        js.RangeCurve(RATES, losses + np.random.default_rng(seed).normal(0, noise, 200), seed=seed)
        for seed in range(seeds)
    ]


def fall(centre=-2.0):
    return 2.3 - 1.7 / (1 + np.exp(-(X - centre) / 0.3))


def states(suggestions, words):
    return any(words in sentence for sentence in suggestions.statements)


def test_a_good_test_has_its_maximum_and_a_tenth_of_it():
    losses = fall() + RATES**3
    suggestions = js.suggest(curves(losses))
    # Beyond the lowest loss, and before it has risen by a few times the noise.
    lowest, risen = RATES[losses.argmin()], RATES[losses <= losses.min() + 0.2].max()
    assert 0.9 * lowest < suggestions.maximum < risen
    assert suggestions.minimum == pytest.approx(suggestions.maximum / 10)
    assert not states(suggestions, "disagree") and not states(suggestions, "raise high")


def test_each_rules_numbers_are_those_of_the_curves():
    given = curves(fall() + RATES**3, noise=0.3, seeds=4)
    for name, suggestion in js.suggest(given).by_rule.items():
        values = [RULES[name](curve) for curve in given]
        assert suggestion.values == tuple(values)
        logs = sorted(math.log(value) for value in values)
        assert math.log(suggestion.median) == pytest.approx((logs[1] + logs[2]) / 2)
        assert suggestion.lowest == min(values) and suggestion.highest == max(values)
        assert suggestion.spread == pytest.approx(max(values) / min(values))


def test_no_rate_is_suggested_for_flat_curves():
    suggestions = js.suggest(curves(np.full(200, 2.3)))
    assert suggestions.maximum is None and suggestions.minimum is None
    assert states(
        suggestions, "No learning rate is suggested: from 1e-05 to 10 the smoothed loss improves by"
    )
    assert states(suggestions, "Widen the range")


def test_one_flat_curve_among_three_does_not_take_the_rate_away():
    mixed = [*curves(fall() + RATES**3, seeds=2), *curves(np.full(200, 2.3), seeds=1)]
    suggestions = js.suggest(mixed)
    assert suggestions.maximum is not None
    assert suggestions.by_rule[MAXIMUM_RULE].values[2] is None
    assert "2/3" in suggestions.table()


def test_no_rate_is_suggested_where_the_losses_rise_for_good_at_once():
    losses = np.full(200, np.nan)
    losses[:5] = [2.3, 2.4, 3.0, 9.0, 50.0]
    suggestions = js.suggest(js.RangeCurve(RATES, losses))
    assert suggestions.maximum is None
    assert states(suggestions, "rise for good within 10 updates. Start the range lower than 1e-05")


def test_a_range_that_ends_too_early_is_to_be_raised():
    suggestions = js.suggest(curves(fall(centre=0.0)))
    assert states(
        suggestions, "still at its lowest at the highest learning rate, 10, for 3 of 3 seeds: raise"
    )


def test_disagreeing_seeds_are_stated():
    early, late = fall(-3.0) + (30 * RATES) ** 3, fall(-1.0) + RATES**3
    suggestions = js.suggest([*curves(early, seeds=1), *curves(late, seeds=1)])
    assert states(suggestions, f"The seeds disagree: {MAXIMUM_RULE} differs by a factor of")
    assert suggestions.by_rule["steepest"].spread > 30


def test_a_wide_bottom_makes_the_rules_for_the_highest_rate_disagree():
    bottom = np.interp(X, [-5, -4, -3.2, -3.0, 0.2, 0.5], [2.3, 2.3, 0.55, 0.5, 0.54, 2.3])
    suggestions = js.suggest(curves(bottom))
    assert states(
        suggestions, "The rules for the highest learning rate disagree: the loss is lowest at"
    )


def test_a_single_run_is_stated():
    assert states(js.suggest(curves(fall(), seeds=1)[0]), "(n=1)")
    assert not states(js.suggest(curves(fall())), "n=1")


def test_agreement_is_within_a_factor_of_three_of_the_maximum():
    suggestions = js.suggest(curves(fall() + RATES**3))
    maximum = suggestions.maximum
    near = [
        name
        for name, suggestion in suggestions.by_rule.items()
        if name != MAXIMUM_RULE and maximum / 3 <= suggestion.median <= 3 * maximum
    ]
    assert list(suggestions.agreeing) == near != []


@pytest.mark.parametrize("losses", [fall() + RATES**3, np.full(200, 2.3)])
def test_the_plain_data_is_json_without_loss(losses):
    suggestions = js.suggest(curves(losses))
    plain = suggestions.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["maximum"] == suggestions.maximum and plain["seeds"] == [0, 1, 2]
    assert plain["rules"]["valley"]["values"] == list(suggestions.by_rule["valley"].values)


def test_no_curve_is_refused():
    with pytest.raises(ValueError, match="at least one curve, got none"):
        js.suggest([])
