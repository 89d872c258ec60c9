"""The picture of a range test says what the curves show, also where they show next to nothing."""

import dataclasses

import numpy as np
import pytest

import jaxsched as js
from jaxsched.tune import MOMENTUM_RANGE, RangeTest
from jaxsched.tune.range_test.plots import draw_range
from jaxsched.tune.range_test.report import judged, range_report

RATES = np.geomspace(1e-4, 10, 200)
LOG = np.log10(RATES)


def noisy(seed, corners, losses, rates=RATES):
    """Losses on straight lines between corners on the log axis, with noise."""
    noise = np.random.default_rng(seed).normal(0, 0.03, len(rates))
    return js.RangeCurve(rates, np.interp(np.log10(rates), corners, losses) + noise, seed=seed)


def drawn(curves, tmp_path, words_of, test):
    report = range_report("a_name", test, curves)
    draw_range(report, test, curves, judged(test, curves), tmp_path / "range.svg")
    return words_of(tmp_path / "range.svg"), report


def test_it_names_its_lines_and_says_why_the_rate_lies_there(tmp_path, words_of):
    """The losses fall from 0.001 to 0.1, are flat up to 1, and diverge after that."""
    curves = [noisy(seed, [-3, -1, 0, 0.1, 0.6], [2.3, 0.5, 0.5, 3, 900]) for seed in range(3)]
    words, report = drawn(curves, tmp_path, words_of, RangeTest())
    maximum = js.suggest(curves).maximum
    assert 0.1 < maximum < 1
    for text in (
        f"recommended maximum {maximum:.3g}",
        "falls fastest (steepest)",
        "lowest smoothed loss",
        "leaves the bottom (smith_max)",
        "diverged",
        "each update's batch (raw)",
        "smoothed: what the rules read",
        "by the rule bottom, the median of 3 seeds: the middle, on the log axis",
    ):
        assert text in words
    assert report.statements[0] in words.replace("\n", " ")
    end = js.suggest(curves).by_rule["smith_max"].median
    assert f"the loss rises from {end:.3g} on" in report.statements[0] and 0.8 < end < 1.3


def test_the_rules_read_the_loss_that_the_test_is_judged_by(tmp_path, words_of):
    """The validation losses leave their bottom a factor of ten before the training losses."""
    few = RATES[::5]
    curves = [
        dataclasses.replace(
            noisy(seed, [-3, -1, 0.3, 0.6], [2.3, 0.5, 0.5, 9]),
            validation=noisy(9 + seed, [-3, -1, -0.7, -0.4], [2.3, 0.5, 0.5, 9], few),
        )
        for seed in range(2)
    ]
    test = RangeTest(validate_every=5)
    words, report = drawn(curves, tmp_path, words_of, test)
    held_out = js.suggest([curve.validation for curve in curves]).maximum
    training = js.suggest(curves).maximum
    assert 0.08 < held_out < 0.3 < training < 3
    assert f"recommended maximum {held_out:.3g}" in words
    assert "smoothed validation: what the rules read" in words
    said = "Read off the validation loss; off the training loss the same rule recommends"
    assert f"{said} {training:.3g}." in report.statements and said in words
    by_training = range_report("a", RangeTest(validate_every=5, judged_by="training"), curves)
    assert by_training.statements[0] == js.suggest(curves).reason


def test_a_curve_that_never_diverges_says_so(tmp_path, words_of):
    curves = [noisy(seed, [-3, -1], [2.3, 0.5]) for seed in range(2)]
    words, _ = drawn(curves, tmp_path, words_of, RangeTest())
    assert "never" in words and "raise high" in words


@pytest.mark.parametrize(
    ("rates", "losses", "axis", "message"),
    [
        (RATES[:4], [2.3, 1e5, 1e20, np.nan], "log", "Start the range lower than 0.0001"),
        # Nothing is looked at: 0 has no logarithm, and the second loss is none.
        ([0.0, 0.005], [2.3, np.nan], "linear", "End it lower than 0.005"),
        (RATES[:1], [2.3], "log", "a rule needs at least 10 updates, got 1"),
        (RATES, np.full(200, 2.3), "log", "within the noise of 0 an update"),
    ],
)
def test_next_to_nothing_is_drawn_too(tmp_path, words_of, rates, losses, axis, message):
    test = RangeTest(axis=axis, low=0.0 if axis == "linear" else 1e-4)
    curves = [js.RangeCurve(rates, losses, seed=seed, axis=axis) for seed in range(2)]
    words, report = drawn(curves, tmp_path, words_of, test)
    assert message in report.statements[0] and message in words


def test_of_a_momentum_no_value_is_marked(tmp_path, words_of):
    curves = [js.RangeCurve([0.7, 0.8], [2.3, np.nan], axis="linear")]
    words, _ = drawn(curves, tmp_path, words_of, MOMENTUM_RANGE)
    assert "Do not read a momentum off this curve" in words and "recommended" not in words
