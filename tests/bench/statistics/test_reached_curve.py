"""The share of runs that reached the target, compared with SciPy's Kaplan–Meier estimate."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxsched.bench import reached_curve

TIMES = st.lists(
    st.one_of(st.just(math.inf), st.integers(1, 30).map(float)), min_size=1, max_size=12
)


@settings(deadline=None)
@given(TIMES)
def test_the_curve_is_the_kaplan_meier_estimate(times):
    curve = reached_curve(times)
    data = stats.CensoredData(
        uncensored=[t for t in times if t < math.inf], right=[100.0] * times.count(math.inf)
    )
    expected = stats.ecdf(data).cdf
    np.testing.assert_allclose(curve.shares, expected.evaluate(curve.times), atol=1e-12)


@given(TIMES)
def test_the_share_grows_within_its_interval(times):
    curve = reached_curve(times)
    assert list(curve.times) == sorted(set(curve.times))
    assert list(curve.shares) == sorted(curve.shares)
    for low, share, high in zip(curve.low, curve.shares, curve.high, strict=True):
        assert 0 <= low <= share <= high <= 1


def test_the_interval_is_that_of_clopper_and_pearson():
    """For 2 of 3 runs it consists of beta quantiles."""
    curve = reached_curve([10.0, 10.0, math.inf])
    assert curve.low[0] == pytest.approx(stats.beta.ppf(0.025, 2, 2))
    assert curve.high[0] == pytest.approx(stats.beta.ppf(0.975, 3, 1))


def test_no_run_at_the_target_and_no_runs():
    assert reached_curve([math.inf, math.inf]).times == ()
    with pytest.raises(ValueError, match="at least one run"):
        reached_curve([])
