"""The points, ticks and labels of charts: properties, and cases by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench.report.page.charts.end_labels import End, labels
from jaxsched.bench.report.page.charts.rows import flat_values, together
from jaxsched.bench.report.page.charts.thinning import corners, steps_of
from jaxsched.bench.report.page.charts.ticks import linear_ticks, log_ticks

numbers = st.floats(-1e99, 1e99).filter(lambda value: value == 0 or abs(value) > 1e-99)


@given(st.lists(numbers, max_size=5))
def test_an_axis_has_three_to_six_ticks_at_equal_distances_and_holds_all_values(values):
    ticks = linear_ticks(values)
    assert 3 <= len(ticks.values) <= 6
    assert ticks.low <= ticks.values[0] and ticks.values[-1] <= ticks.high
    steps = np.diff(ticks.values)
    assert np.allclose(steps, steps[0], rtol=1e-3) and steps[0] > 0
    slack = 1e-5 * (ticks.high - ticks.low)
    assert all(ticks.low - slack <= value <= ticks.high + slack for value in values)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_an_axis_of_shares_ends_within_0_and_1(values):
    ticks = linear_ticks(values, is_share=True)
    assert ticks.low >= 0 and all(0 <= tick <= 1 for tick in ticks.values)
    assert len(ticks.values) >= 3


@given(st.lists(st.floats(1e-90, 1e90), min_size=1, max_size=4))
def test_a_logarithmic_axis_ends_above_the_greatest_value(values):
    ticks = log_ticks(values)
    assert 3 <= len(ticks.values) <= 6 and ticks.low > 0
    assert max(values) <= ticks.high * (1 + 1e-9)
    assert ticks.high / ticks.low <= 1.2e4
    assert ticks.value(ticks.place(max(values))) == pytest.approx(max(max(values), ticks.low))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5), st.integers(100, 400))
def test_labels_never_overlap_and_keep_the_order_of_their_curves(values, height):
    ticks = linear_ticks([-3, 3])
    ends = [End(f"e{number}", f"e{number}", value) for number, value in enumerate(values)]
    rows = labels(ends, ticks, height)
    places = [height * (1 - ticks.place(row["at"])) for row in rows]
    assert len(rows) == len(values) and all(-1e-6 <= p <= height + 1e-6 for p in places)
    assert all(below - above > 14.9 for above, below in itertools.pairwise(places))
    assert np.allclose([row["end"] for row in rows], sorted(values, reverse=True))


def test_the_label_of_a_curve_that_ends_early_stands_where_it_ends():
    ticks = linear_ticks([0, 1])
    long, short = End("a", "a", 0.5, {"step": 100}), End("b", "b", 0.9, {"step": 50})
    first, second = labels([short, long], ticks, 100)
    assert (first["label"], "at" in first) == ("a", True)
    assert second == {"experiment": "b", "label": "b", "end": 0.9, "step": 50}
    assert labels([End(str(n), str(n), 0.5) for n in range(6)], ticks, 100) == []
    assert labels([End("a" * 40, "a" * 40, 0.5)], ticks, 100) == []


values_in_force = st.lists(
    st.tuples(st.integers(1, 60), st.floats(0.01, 1)), min_size=1, max_size=12
).map(lambda parts: np.concatenate([np.full(length, value) for length, value in parts]))


@given(values_in_force)
def test_a_thinned_step_function_is_the_same_at_every_update(values):
    """Halfway through each update, so that both sides of each jump are compared."""
    at, of = steps_of(values[None])
    kept = corners(at, of[0], most=10_000)
    drawn = np.interp(np.arange(len(values)) + 0.5, at[kept], of[0][kept])
    assert np.abs(drawn - values).max() <= 0.005 * np.ptp(values) + 1e-12
    is_flat = np.ptp(values) == 0
    # Two sides of a jump, and the ends of the slope that a change too small to be one becomes.
    assert len(kept) <= (2 if is_flat else 2 + 4 * np.count_nonzero(np.diff(values)))


def test_a_long_smooth_schedule_needs_few_points_and_no_more_than_allowed():
    steps = np.arange(450_000)
    cosine = 0.5 * (1 + np.cos(np.pi * steps / len(steps)))
    cosine[: len(steps) // 2] += 1.0  # one jump
    at, of = steps_of(cosine[None])
    kept = corners(at, of[0], most=250)
    assert len(kept) < 60
    drawn = np.interp(steps + 0.5, at[kept], of[0][kept])
    assert np.abs(drawn - cosine).max() < 0.01
    noisy = np.random.default_rng(0).normal(size=20_000)
    assert len(corners(np.arange(20_000), noisy, most=250)) <= 250


def curve(name, values, steps=None):
    steps = steps or range(1, len(values) + 1)
    return [
        {"experiment": name, "step": step, "low": value, "median": value, "high": value}
        for step, value in zip(steps, values, strict=True)
    ]


def test_curves_lie_on_each_other_if_they_differ_by_less_than_a_line_everywhere():
    ticks = linear_ticks([0, 1])
    rows = [
        *curve("a", [0.1, 0.5, 0.9]),
        *curve("b", [0.1, 0.501, 0.9]),
        *curve("apart", [0.1, 0.52, 0.9]),
        *curve("shorter", [0.1, 0.5]),
        *curve("thinned", [0.1, 0.9], steps=(1, 3)),
    ]
    assert together(rows, ticks) == [["a", "b", "thinned"]]
    # Jumps at other places, with the same values before and after.
    early = curve("early", [0, 0, 1, 1], steps=(0, 10, 10, 100))
    late = curve("late", [0, 0, 1, 1], steps=(0, 60, 60, 100))
    assert together([*early, *late], ticks) == []
    assert together([*early, *curve("twin", [0, 0, 1, 1], steps=(0, 10, 10, 100))], ticks) != []


def test_flat_values_are_those_of_curves_that_never_change():
    assert flat_values([*curve("a", [2.0, 2.0]), *curve("b", [3.0])]) == {"a": 2.0, "b": 3.0}
    assert flat_values([*curve("a", [2.0, 2.0]), *curve("b", [3.0, 3.1])]) is None
    assert flat_values([*curve("a", [2.0, None])]) is None
    assert flat_values(curve("a", [0.1, 0.1 + 1e-12])) == {"a": pytest.approx(0.1)}
