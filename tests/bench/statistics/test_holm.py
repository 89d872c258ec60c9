"""Holm's correction: a worked example, and its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench.statistics import holm
from jaxsched.bench.statistics.holm import holm_levels


def test_holm_gives_the_worked_example():
    """The products 0.005 × 4, 0.011 × 3, 0.02 × 2 and 0.04 × 1 ascend here."""
    assert holm([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_s(p_values):
    corrected = holm(p_values)
    for p, found in zip(p_values, corrected, strict=True):
        assert p <= found <= min(1, len(p_values) * p) + 1e-12
    assert np.argsort(p_values, kind="stable").tolist() == sorted(
        range(len(p_values)), key=lambda i: (corrected[i], p_values[i], i)
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_a_level_is_passed_exactly_where_the_corrected_value_is_significant(p_values):
    for p, corrected, level in zip(p_values, holm(p_values), holm_levels(p_values), strict=True):
        if corrected != pytest.approx(0.05):
            assert (p < level) == (corrected < 0.05)


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=12))
def test_claimed_intervals_are_as_wide_as_those_of_benjamini_and_yekutieli(p_values):
    """Theirs have the level 0.05 · claims / comparisons; no level is below Bonferroni's."""
    claims, m = sum(corrected < 0.05 for corrected in holm(p_values)), len(p_values)
    for corrected, level in zip(holm(p_values), holm_levels(p_values), strict=True):
        assert 0.05 / m <= level * (1 + 1e-9) <= 0.05 * (1 + 2e-9)
        if corrected < 0.05:
            assert level <= 0.05 * claims / m * (1 + 1e-9)
