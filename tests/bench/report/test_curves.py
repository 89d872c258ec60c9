"""Curves over seeds compared with plain Python."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench.report.curves import column, curve_of
from jaxsched.tracking import Record

values = st.floats(0, 1)


def record(values, late=0):
    rows = [
        {"step": 7 * n, "examples": 224 * n, "epoch": n / 2, "train_seconds": n + late, "value": of}
        for n, of in enumerate(values, start=1)
    ]
    return Record({}, tuple(rows), {})


@given(st.lists(st.lists(values, min_size=2, max_size=6), min_size=2, max_size=5))
def test_each_point_has_the_quartiles_of_the_seeds_up_to_the_shortest_run(runs):
    curve = curve_of([record(run) for run in runs], column("value"))
    assert curve is not None and curve.n == len(runs)
    shortest = min(map(len, runs))
    assert curve.times["step"] == tuple(7 * n for n in range(1, shortest + 1))
    for mark in range(shortest):
        expected = statistics.quantiles([run[mark] for run in runs], n=4, method="inclusive")
        found = (curve.low[mark], curve.median[mark], curve.high[mark])
        assert all(abs(a - b) < 1e-12 for a, b in zip(found, expected, strict=True))


def test_seconds_are_the_median_over_seeds():
    curve = curve_of(
        [record([1, 2]), record([1, 2], late=40), record([1, 2], late=1)], column("value")
    )
    assert curve is not None and curve.times["train_seconds"] == (2, 3)


def test_a_curve_begins_where_all_runs_have_the_quantity():
    averaged = [record([None, 0.5, 0.6]), record([None, None, 0.8])]
    curve = curve_of(averaged, column("value"))
    assert curve is not None
    assert (curve.times["step"], curve.median) == ((21,), (0.7,))
    assert curve_of([record([None])], column("value")) is None
    assert curve_of([record([0.5])], column("unknown")) is None
    assert curve_of([], column("value")) is None


def test_a_run_without_an_evaluation_is_left_out():
    """Such a run diverged before its first evaluation; the summary counts it as a miss."""
    curve = curve_of([record([0.5, 0.6]), record([])], column("value"))
    assert curve is not None and (curve.n, curve.median) == (1, (0.5, 0.6))
