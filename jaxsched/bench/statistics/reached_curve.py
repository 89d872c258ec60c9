"""The share of runs that have reached the target, as a function of time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True)
class ReachedCurve:
    """The share of runs that have reached the target, a step function of time.

    Attributes:
        n: the number of runs.
        times: when the share grows, ascending.
        shares: the share from each of these times to the next; before the first it is 0.
        low: the lower end of each share's interval.
        high: the upper end of each share's interval.
    """

    n: int
    times: tuple[float, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def reached_curve(times: Sequence[float], confidence: float = 0.95) -> ReachedCurve:
    """Computes how the share of runs that have reached the target grows with time.

    Formula:
        share(t) = #{runs with time ≤ t} / n

    This equals 1 − the Kaplan–Meier estimate, because all runs have the same planned end. A run
    that diverged earlier stays in n, since it will never reach the target. The intervals are those
    of Clopper and Pearson: exact, for each time by itself.

    Args:
        times: one a run, `math.inf` for a miss.
        confidence: the confidence of each interval.

    Raises:
        ValueError: if there are no runs.

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
        raise ValueError("the share of runs that reached the target needs at least one run.")
    changes = sorted({time for time in times if math.isfinite(time)})
    counts = [sum(time <= change for time in times) for change in changes]
    intervals = [binomtest(count, len(times)).proportion_ci(confidence) for count in counts]
    return ReachedCurve(
        n=len(times),
        times=tuple(changes),
        shares=tuple(count / len(times) for count in counts),
        low=tuple(float(interval.low) for interval in intervals),
        high=tuple(float(interval.high) for interval in intervals),
    )
