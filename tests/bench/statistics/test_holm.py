"""Holm's correction: a worked example, and its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench.statistics import holm


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
