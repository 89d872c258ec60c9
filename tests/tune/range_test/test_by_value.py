"""Range tests at several values: which is taken, by scripted curves with known ends."""

import json

import numpy as np
import pytest

import jaxsched as js
from jaxsched.tune.range_test.by_value import (
    ValueCurves,
    draw_values,
    taken_value,
    value_report,
    write_value_report,
)

RATES = np.geomspace(1e-4, 10, 200)


def curve(end, seed, low=0.5):
    """Losses that fall from 0.0001 on to 0.01, are flat up to `end`, and rise after that."""
    corners = [-4, -2, np.log10(end), np.log10(end) + 0.4]
    noise = np.random.default_rng(seed).normal(0, 0.03, 200)
    return js.RangeCurve(
        RATES, np.interp(np.log10(RATES), corners, [2.3, low, low, 9]) + noise, seed=seed
    )


def scripted(ends):
    return [
        ValueCurves(value, [curve(end, seed) for seed in range(3)]) for value, end in ends.items()
    ]


@pytest.mark.parametrize(
    ("ends", "taken"),
    [
        ({1e-2: 0.05, 1e-3: 1.5, 1e-4: 2.0, 0.0: 2.0}, 1e-3),  # 0.05 is not large, 1.5 is
        ({1e-2: 0.05, 1e-3: 0.3, 1e-4: 2.0}, 1e-4),
        ({1e-2: 2.0, 1e-3: 0.3}, 1e-2),
    ],
)
def test_the_largest_value_that_allows_a_large_rate_is_taken(ends, taken):
    tests = scripted(ends)
    for test in tests:
        assert test.largest_rate == pytest.approx(ends[test.value], rel=0.3)
        assert test.lowest_loss == pytest.approx(0.5, abs=0.05)
    assert taken_value(tests).value == taken


def test_a_loss_still_at_its_lowest_allows_the_last_rate():
    falling = js.RangeCurve(RATES, 2.3 - 0.3 * np.log10(RATES / 1e-4))
    assert ValueCurves(0.1, [falling]).largest_rate == pytest.approx(10.0)
    flat = ValueCurves(0.5, [js.RangeCurve(RATES, np.full(200, 2.3))])
    assert flat.largest_rate is None
    assert taken_value([flat, ValueCurves(0.1, [falling])]).value == 0.1


@pytest.mark.slow
def test_the_report_and_the_picture_say_which_and_why(tmp_path, words_of):
    tests = scripted({1e-2: 0.05, 1e-3: 1.5, 0.0: 2.0})
    report = write_value_report("a_name", "weight_decay", tests, tmp_path)
    assert [row[-1] for row in report.rows[1:]] == ["", "taken", ""]
    assert report.statements[0].startswith("Taken: weight decay 1e-3, the largest whose curve")
    content = json.loads((tmp_path / "by_weight_decay.json").read_text())
    assert content["taken"] == 1e-3 and (tmp_path / "by_weight_decay.png").exists()
    draw_values(report, "weight_decay", tests, tmp_path / "by.svg")
    words = words_of(tmp_path / "by.svg")
    assert "weight decay 1e-3 (taken): up to" in words and report.statements[0] in words


def test_where_no_curve_suggests_a_rate_none_is_taken(tmp_path):
    tests = [ValueCurves(v, [js.RangeCurve(RATES[:2], [2.3, np.nan])]) for v in (0.0, 0.1)]
    report = value_report("a", "dropout", tests)
    assert report.statements == [
        "No value is taken: no curve suggests a learning rate. Widen the range, take more "
        "updates, or use larger batches."
    ]
    draw_values(report, "dropout", tests, tmp_path / "none.png")
