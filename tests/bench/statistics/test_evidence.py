"""What is claimed in words holds whatever the numbers are."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import Comparison, evidence

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
CLAIMS = ("ends higher", "ends lower", "needs fewer", "needs more")


@given(comparisons, comparisons)
def test_nothing_is_claimed_without_a_small_p_and_two_seeds(accuracy, steps):
    said = evidence(accuracy, steps)
    n = max(accuracy.n, steps.n)
    assert f"n = {n}" in said
    claims = [claim for claim in CLAIMS if claim in said]
    small = [of for of in (accuracy, steps) if of.p_corrected is not None and of.p_corrected < 0.05]
    assert len(claims) == (len(small) if n >= 2 else 0)


surely = Comparison("b", "a", 8, 0.01, 0.005, 0.015, 2.0, 0.001, 0.002)
perhaps = dataclasses.replace(surely, p_corrected=0.3)


@pytest.mark.parametrize(
    ("accuracy", "steps", "claim"),
    [
        (surely, perhaps, "ends higher"),
        (dataclasses.replace(surely, estimate=-0.01), perhaps, "ends lower"),
        (perhaps, dataclasses.replace(surely, estimate=0.8), "needs fewer steps"),
        (
            perhaps,
            dataclasses.replace(surely, estimate=0.0),
            "needs fewer steps",
        ),  # baseline missed
        (perhaps, dataclasses.replace(surely, estimate=None), "needs more steps"),  # it missed
        (perhaps, dataclasses.replace(surely, estimate=1.2), "needs more steps"),
    ],
)
def test_a_claim_names_the_direction(accuracy, steps, claim):
    assert f"{claim} (p = 0.002)" in evidence(accuracy, steps)
