"""Student's t-test, refused where the values do not vary."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

# Values that differ by less differ by rounding alone: one of a million examples is 1e-6.
_ROUNDING = 1e-12


def t_test(
    values: Sequence[float] | np.ndarray, alternative: Literal["two-sided", "greater"] = "two-sided"
) -> Any:
    """Tests whether the mean of the values is 0; returns None if the values do not vary.

    Values without spread would give an infinite t, and values that differ by rounding alone an
    enormous one.

    Args:
        values: at least two.
        alternative: "two-sided" for a mean that is not 0, "greater" for one above 0.

    Returns:
        SciPy's result, with `pvalue` and `confidence_interval()`, or None.

    Source:
        Student, "The probable error of a mean" (1908).

    Example:
        >>> from jaxsched.bench.statistics.t_test import t_test
        >>> round(float(t_test([1.0, 2.0, 3.0]).pvalue), 4), t_test([1.0, 1.0, 1.0])
        (0.0742, None)
    """
    if np.ptp(values) < _ROUNDING:
        return None
    return stats.ttest_1samp(values, 0.0, alternative=alternative)
