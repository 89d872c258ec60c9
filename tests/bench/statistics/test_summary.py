"""Summaries of runs whose answers are known."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import Target, summarise
from jaxsched.bench.statistics import first_at_target
from jaxsched.bench.study.manifest import TEST_ACCURACY
from jaxsched.tracking import Record

TARGET = Target(0.9, TEST_ACCURACY)


def run(accuracies, *, name="a", seed=0, status="finished"):
    rows = [
        {
            "step": 10 * n,
            "examples": 320 * n,
            "train_seconds": 0.5 * n,
            "test_accuracy": accuracy,
        }
        for n, accuracy in enumerate(accuracies, start=1)
    ]
    return Record({"name": name, "seed": seed}, tuple(rows), {"status": status})


def test_first_time_at_target_counts_even_if_the_accuracy_falls_again():
    assert first_at_target(run([0.5, 0.91, 0.7, 0.95]), TARGET)["step"] == 20
    assert first_at_target(run([0.9]), TARGET)["step"] == 10
    assert first_at_target(run([0.5, 0.89]), TARGET) is None
    assert first_at_target(run([]), TARGET) is None


def test_a_miss_counts_as_infinitely_long_and_is_never_dropped():
    hit_10, hit_20, miss = run([0.9]), run([0.1, 0.9]), run([0.1, 0.1])
    (summary,) = summarise([hit_10, hit_20, miss], TARGET)
    assert (summary.reached, summary.seeds) == (2, 3)
    assert (summary.steps, summary.examples, summary.seconds) == (20, 640, 1.0)
    (summary,) = summarise([hit_10, miss, miss], TARGET)
    assert (summary.reached, summary.steps, summary.seconds) == (1, None, None)
    (summary,) = summarise([hit_10, miss], TARGET)  # the middle of 10 and ∞ is ∞
    assert summary.steps is None


def test_final_accuracy_is_mean_and_sample_deviation_of_the_last_rows():
    (summary,) = summarise([run([0.1, 0.90]), run([0.1, 0.94])], TARGET)
    assert summary.final_mean == pytest.approx(0.92)
    assert summary.final_sd == pytest.approx(0.02 * math.sqrt(2))
    (summary,) = summarise([run([0.9])], TARGET)
    assert (summary.final_mean, summary.final_sd) == (0.9, None)


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_run_that_died_is_a_miss_with_its_last_accuracy(status):
    runs = [run([0.9]), run([0.1], status=status), run([], status=status)]
    (summary,) = summarise(runs, TARGET)
    assert (getattr(summary, status), summary.reached, summary.seeds) == (2, 1, 3)
    assert summary.diverged + summary.failed == 2
    assert summary.steps is None
    assert summary.final_mean == pytest.approx(0.5)


def test_experiments_stay_in_the_order_of_their_first_record():
    records = [run([0.9], name="b"), run([0.9], name="a"), run([0.9], name="b")]
    assert [(s.name, s.seeds) for s in summarise(records, TARGET)] == [
        ("b", 2),
        ("a", 1),
    ]


@given(st.lists(st.one_of(st.none(), st.integers(1, 50)), min_size=1, max_size=9))
def test_the_median_is_that_of_the_sorted_times_with_misses_last(hits):
    runs = [
        run([0.1] * (99 if hit is None else hit - 1) + [0.9] * (hit is not None)) for hit in hits
    ]
    (summary,) = summarise(runs, TARGET)
    median = statistics.median(math.inf if hit is None else 10 * hit for hit in hits)
    assert summary.steps == (None if math.isinf(median) else median)


def test_intervals_and_reasons_of_misses():
    end = {"status": "diverged", "reason": "the loss is NaN"}
    diverged = Record({"name": "a", "seed": 2}, (), end)
    runs = [run([0.95], seed=0), run([0.1, 0.2], seed=1), diverged, run([0.1, 0.95], seed=3)]
    (summary,) = summarise(runs, TARGET)
    assert summary.misses == (
        "seed 1: finished without reaching the target, best 20.00%",
        "seed 2: the loss is NaN",
    )
    assert summary.steps_interval == (10.0, None)
    (summary,) = summarise(runs[:1], TARGET)
    assert (summary.steps_interval, summary.misses) == (None, ())
