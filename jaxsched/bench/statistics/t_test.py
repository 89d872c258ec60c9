"""Student's t-test, refused where the values do not vary."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

# Values that differ by less differ by rounding alone: one of a million examples is 1e-6.
_ROUNDING = 1e-12


class TTest(NamedTuple):
    """A test of whether a mean is 0.

    Attributes:
        mean: the mean of n values.
        sd: their standard deviation (n − 1), or the least that was allowed for it.
        n: the number of values.
    """

    mean: float
    sd: float
    n: int

    @property
    def p_value(self) -> float:
        """The two-sided p-value: a mean that is not 0."""
        return float(2 * stats.t.sf(abs(self._t), self.n - 1))

    @property
    def p_above(self) -> float:
        """The one-sided p-value: a mean above 0."""
        return float(stats.t.sf(self._t, self.n - 1))

    def interval(self, level: float) -> tuple[float, float]:
        """Returns the interval of the mean, which leaves 0 out where `p_value` is below the level.

        Args:
            level: 1 − the confidence.
        """
        half = float(stats.t.isf(level / 2, self.n - 1)) * self.sd / self.n**0.5
        return self.mean - half, self.mean + half

    @property
    def _t(self) -> float:
        return self.mean / (self.sd / self.n**0.5)


def t_test(values: Sequence[float] | np.ndarray, least_sd: float = 0.0) -> TTest | None:
    """Tests whether the mean of the values is 0; returns None if the values do not vary.

    Values without spread would give an infinite t, and values that differ by rounding alone an
    enormous one. Values so large that their spread is not a number have no test either. A mean that
    rounding alone keeps from 0 is 0.

    Args:
        values: at least two.
        least_sd: the spread that is assumed if theirs is smaller, because they are only known to
            so much; with one, values without spread have a test.

    Source:
        Student, "The probable error of a mean" (1908).

    Example:
        >>> from jaxsched.bench.statistics.t_test import t_test
        >>> round(t_test([1.0, 2.0, 3.0]).p_value, 4), t_test([1.0, 1.0, 1.0])
        (0.0742, None)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, sd = float(np.mean(values)), max(float(np.std(values, ddof=1)), least_sd)
        is_constant = np.ptp(values) < _ROUNDING
    if not (math.isfinite(mean) and math.isfinite(sd)) or (is_constant and not least_sd):
        return None
    return TTest(0.0 if abs(mean) < _ROUNDING else mean, sd, len(values))
