"""Performance profiles compared with hand-computed ones and with AlgoPerf's integral."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import performance_profile


def test_profile_is_the_one_computed_by_hand():
    """The ratios are 1, 3 and a miss for a, and 2, 1 and 1 for b."""
    profile = performance_profile({"a": [10, 30, math.inf], "b": [20, 10, 7]})
    assert profile.taus == (1, 2, 3, 4)
    assert profile.shares["a"] == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))
    assert profile.shares["b"] == pytest.approx((2 / 3, 1, 1, 1))
    assert profile.scores["a"] == pytest.approx((1 / 3 + 1 / 3 + 2 / 3) / 3)
    assert profile.scores["b"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert profile.speedups == pytest.approx({"a": 0.0, "b": 2 ** (-1 / 3)})


def test_a_task_that_no_experiment_finished_counts_for_none():
    profile = performance_profile({"a": [10, math.inf], "b": [10, math.inf]})
    assert profile.scores == {"a": 0.5, "b": 0.5}


def test_ratios_of_four_and_more_count_nothing():
    assert performance_profile({"a": [10], "b": [40]}).scores["b"] == 0
    assert performance_profile({"a": [10], "b": [39.7]}).scores["b"] == pytest.approx(0.01)


@given(
    st.lists(
        st.tuples(*[st.one_of(st.just(math.inf), st.floats(1, 100)) for _ in range(3)]),
        min_size=1,
        max_size=6,
    )
)
def test_score_is_the_integral_on_a_fine_grid(tasks):
    times = {name: [task[i] for task in tasks] for i, name in enumerate("abc")}
    profile = performance_profile(times)
    grid = np.linspace(1, 4, 6001)[:-1] + 1.5 / 6000
    for name in times:
        ratios = [
            own / min(task) if own < math.inf else math.inf
            for own, task in zip(times[name], tasks, strict=True)
        ]
        shares = np.mean([np.asarray(ratio) <= grid for ratio in ratios], axis=0)
        assert profile.scores[name] == pytest.approx(shares.mean(), abs=2e-3)


@pytest.mark.parametrize(
    "times", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}, {"a": [0.0]}, {"a": [math.nan]}]
)
def test_impossible_times_are_refused(times):
    with pytest.raises(ValueError, match="a performance profile needs"):
        performance_profile(times)
