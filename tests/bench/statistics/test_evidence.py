"""Claims in words are right whatever the numbers are."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import Comparison, evidence
from jaxsched.bench.statistics.evidence import ratio_in_words
from jaxsched.bench.study.manifest import TEST_ACCURACY

chances = st.one_of(st.none(), st.floats(0, 1))
comparisons = st.builds(
    Comparison,
    name=st.just("b"),
    baseline=st.just("a"),
    n=st.integers(0, 30),
    estimate=st.one_of(st.none(), st.floats(-1, 5)),
    low=st.none(),
    high=st.none(),
    effect_size=st.floats(-9, 9),
    p_value=chances,
    p_corrected=chances,
)
CLAIMS = ("higher final", "lower final", "fewer updates", "more updates")


@given(comparisons, comparisons)
def test_nothing_is_claimed_without_a_small_p_and_two_seeds(accuracy, steps):
    text = evidence(accuracy, steps, TEST_ACCURACY)
    claims = [claim for claim in CLAIMS if claim in text]
    small = [p for p in (accuracy.p_corrected, steps.p_corrected) if p is not None and p < 0.05]
    assert len(claims) == (len(small) if max(accuracy.n, steps.n) >= 2 else 0)
    assert claims or text in ("no difference shown", "one seed, so no test", "no seed in common")


final = Comparison("b", "a", 8, 0.012, 0.003, 0.021, 2.0, 0.001, 0.002)
steps = Comparison("b", "a", 8, 0.68, 0.61, 0.77, -2.0, 0.001, 0.031)
missed = Comparison(
    "b", "a", 8, None, effect_size=-1.0, p_value=0.01, p_corrected=0.02, baseline_missed=8
)


def replaced(comparison, **fields):
    return dataclasses.replace(comparison, **fields)


@pytest.mark.parametrize(
    ("accuracy", "times", "text"),
    [
        (final, replaced(steps, p_corrected=0.3),
         "higher final accuracy: +1.20 points [+0.30, +2.10], p = 0.002"),
        (replaced(final, estimate=-0.01, low=-0.02, high=-1e-5, effect_size=-1.0),
         replaced(steps, p_corrected=None),
         "lower final accuracy: -1.00 points [-2.00, -0.001], p = 0.002"),
        (replaced(final, p_corrected=0.05), steps,
         "fewer updates: 0.68\N{MULTIPLICATION SIGN} [0.61, 0.77], p = 0.031"),
        (replaced(final, p_corrected=0.05), missed,
         "fewer updates: reached by 8, baseline by 0 of 8 seeds, p = 0.020"),
        (replaced(final, p_corrected=0.05),
         replaced(missed, effect_size=1.0, missed=8, baseline_missed=0),
         "more updates: reached by 0, baseline by 8 of 8 seeds, p = 0.020"),
    ],
)  # fmt: skip
def test_a_claim_has_its_direction_its_interval_and_its_p(accuracy, times, text):
    assert evidence(accuracy, times, TEST_ACCURACY) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"n": 5, "estimate": 0.9961, "low": 0.99, "high": 0.9996}, "0.996 [0.99, 0.9996]"),
        ({"n": 5, "estimate": 1.0, "low": 1e-9, "high": 2e7}, "1.00 [< 0.001, > 1,000]"),
        ({"n": 2, "estimate": 0.5, "low": 0.01, "high": 60.0}, "0.50"),
        ({"n": 5, "estimate": 0.5, "missed": 1, "both_missed": 1},
         "0.50 (reached by 3, baseline by 4 of 5 seeds, 1 missed by both)"),
        ({"n": 3, "estimate": None, "both_missed": 3}, "missed by both"),
        ({"n": 0, "estimate": None}, "none"),
    ],
)  # fmt: skip
def test_a_ratio_is_a_number_only_where_it_means_something(fields, text):
    assert ratio_in_words(Comparison("b", "a", **fields)) == text
