"""The share of seeds that have reached the target by a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True)
class ReachedCurve:
    """The share of runs that have reached the target, a step at each time at which one does.

    Attributes:
        n: number of runs.
        times: growing.
        shares: from each time on, until the next; before the first it is 0.
        low: the lower ends of its intervals.
        high: the upper ends.
    """

    n: int
    times: tuple[float, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def reached_curve(times: Sequence[float], confidence: float = 0.95) -> ReachedCurve:
    """How the share of runs that have reached the target grows with time.

    Formula:
        share(t) = #{runs with time ≤ t} / n

    That is 1 − Kaplan and Meier's estimate, as runs are given up at one common end; a run that
    diverged before it stays in n, since it will never get there. The intervals are Clopper and
    Pearson's: exact, at each time by itself.

    Args:
        times: one a run, `math.inf` for a miss.
        confidence: of the intervals.

    Raises:
        ValueError: when there are no runs.

    Source:
        Kaplan and Meier, "Nonparametric estimation from incomplete observations" (1958).

    Example:
        >>> import math
        >>> from jaxsched.bench import reached_curve
        >>> curve = reached_curve([20.0, math.inf, 10.0, 20.0])
        >>> curve.times, curve.shares
        ((10.0, 20.0), (0.25, 0.75))
    """
    if not times:
        raise ValueError(
            "a curve of runs that reached the target needs at least one run, got none."
        )
    moments = sorted({time for time in times if math.isfinite(time)})
    counts = [sum(time <= moment for time in times) for moment in moments]
    intervals = [binomtest(count, len(times)).proportion_ci(confidence) for count in counts]
    return ReachedCurve(
        n=len(times),
        times=tuple(moments),
        shares=tuple(count / len(times) for count in counts),
        low=tuple(float(interval.low) for interval in intervals),
        high=tuple(float(interval.high) for interval in intervals),
    )
