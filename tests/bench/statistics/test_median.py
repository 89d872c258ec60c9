"""Medians and their intervals: exact bootstrap probabilities, coverage, properties."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import median_interval

TIME = st.one_of(st.just(math.inf), st.integers(1, 1000).map(float))
TIMES = st.lists(TIME, min_size=1, max_size=8)


def or_infinity(value):
    return math.inf if value is None else value


def test_interval_is_that_of_all_resamples():
    """Five runs have only 3,125 resamples, which can all be listed."""
    times = [30.0, 10.0, 20.0, math.inf, 15.0]
    medians = sorted(statistics.median(draw) for draw in itertools.product(times, repeat=5))
    found = median_interval(times, confidence=0.8)
    assert found.low == medians[round(0.1 * len(medians))]
    assert or_infinity(found.high) == medians[round(0.9 * len(medians))]
    assert found.value == 20.0


def test_one_run_has_no_interval_and_misses_have_no_number():
    one = median_interval([7.0])
    assert (one.n, one.value, one.low, one.high) == (1, 7.0, None, None)
    none = median_interval([math.inf] * 4)
    assert (none.value, none.low, none.high) == (None, None, None)
    with pytest.raises(ValueError, match="at least one time"):
        median_interval([])
    with pytest.raises(ValueError, match="no NaN"):
        median_interval([1.0, math.nan])


def test_interval_contains_the_true_median_as_often_as_in_theory():
    """n = 11: from order statistics 3 to 9 it is 93.5 %, from 2 to 10 98.8 %."""
    draws = np.random.default_rng(1).exponential(size=(400, 11))
    intervals = [median_interval(draw) for draw in draws.tolist()]
    held = np.mean([i.low <= math.log(2) <= i.high for i in intervals])
    assert 0.90 < held < 0.99
    three = [median_interval(draw[:3]) for draw in draws.tolist()]
    held = np.mean([i.low <= math.log(2) <= i.high for i in three])
    assert abs(held - 0.75) < 0.07  # 1 − 2^(1 − n): three standard errors


@given(TIMES)
def test_order_does_not_matter_and_the_ends_enclose_the_median(times):
    found = median_interval(times)
    assert found == median_interval(sorted(times)) == median_interval(times[::-1])
    if len(times) > 1:
        assert or_infinity(found.low) <= or_infinity(found.value) <= or_infinity(found.high)


@given(TIMES, st.data())
def test_replacing_a_time_by_a_miss_never_lowers_the_median(times, data):
    which = data.draw(st.integers(0, len(times) - 1))
    worse = [math.inf if n == which else time for n, time in enumerate(times)]
    for end in ("low", "value", "high"):
        before, after = (getattr(median_interval(of), end) for of in (times, worse))
        assert or_infinity(after) >= or_infinity(before)


@given(TIMES)
def test_the_median_scales_with_the_unit(times):
    scaled, found = median_interval([4 * time for time in times]), median_interval(times)
    for end in ("low", "value", "high"):
        assert or_infinity(getattr(scaled, end)) == 4 * or_infinity(getattr(found, end))
