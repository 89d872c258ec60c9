"""The share of runs that reached the target: Kaplan and Meier's, by SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxsched.bench import reached_curve

TIMES = st.lists(
    st.one_of(st.just(math.inf), st.integers(1, 30).map(float)), min_size=1, max_size=12
)


@given(TIMES)
def test_it_is_kaplan_and_meier_s(times):
    curve = reached_curve(times)
    data = stats.CensoredData(
        uncensored=[t for t in times if t < math.inf], right=[100.0] * times.count(math.inf)
    )
    expected = stats.ecdf(data).cdf
    np.testing.assert_allclose(curve.shares, expected.evaluate(curve.times), atol=1e-12)


@given(TIMES)
def test_it_grows_within_its_interval(times):
    curve = reached_curve(times)
    assert list(curve.times) == sorted(set(curve.times))
    assert list(curve.shares) == sorted(curve.shares)
    for low, share, high in zip(curve.low, curve.shares, curve.high, strict=True):
        assert 0 <= low <= share <= high <= 1


def test_exact_interval_is_the_textbook_s():
    """Clopper and Pearson for 2 of 3: the beta quantiles."""
    curve = reached_curve([10.0, 10.0, math.inf])
    assert curve.low[0] == pytest.approx(stats.beta.ppf(0.025, 2, 2))
    assert curve.high[0] == pytest.approx(stats.beta.ppf(0.975, 3, 1))


def test_nobody_and_nothing():
    assert reached_curve([math.inf, math.inf]).times == ()
    with pytest.raises(ValueError, match="at least one run"):
        reached_curve([])
