"""Claims in words are right whatever the numbers are."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import Comparison, evidence
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
    effect_size=st.none(),
    p_value=chances,
    p_corrected=chances,
)
CLAIMS = ("higher final", "lower final", "fewer steps", "more steps")


@given(comparisons, comparisons)
def test_nothing_is_claimed_without_a_small_p_and_two_seeds(accuracy, steps):
    text = evidence(accuracy, steps, TEST_ACCURACY)
    n = max(accuracy.n, steps.n)
    assert f"n = {n}" in text
    claims = [claim for claim in CLAIMS if claim in text]
    small = [p for p in (accuracy.p_corrected, steps.p_corrected) if p is not None and p < 0.05]
    assert len(claims) == (len(small) if n >= 2 else 0)


significant = Comparison("b", "a", 8, 0.01, 0.005, 0.015, 2.0, 0.001, 0.002)
not_significant = dataclasses.replace(significant, p_corrected=0.3)


@pytest.mark.parametrize(
    ("accuracy", "steps", "claim"),
    [
        (significant, not_significant, "higher final accuracy"),
        (dataclasses.replace(significant, estimate=-0.01), not_significant, "lower final accuracy"),
        (
            not_significant,
            dataclasses.replace(significant, estimate=0.8),
            "fewer steps to the target",
        ),
        (
            not_significant,
            dataclasses.replace(significant, estimate=0.0),
            "fewer steps to the target",
        ),  # baseline missed
        (
            not_significant,
            dataclasses.replace(significant, estimate=None),
            "more steps to the target",
        ),  # it missed
        (
            not_significant,
            dataclasses.replace(significant, estimate=1.2),
            "more steps to the target",
        ),
    ],
)
def test_a_claim_names_the_direction(accuracy, steps, claim):
    assert f"{claim} (p = 0.002)" in evidence(accuracy, steps, TEST_ACCURACY)
