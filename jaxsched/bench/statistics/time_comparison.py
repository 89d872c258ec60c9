"""Times to the target compared with the baseline's, seed by seed."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from jaxsched.bench.statistics.comparison import Comparison, Interval, compare_with_baseline
from jaxsched.bench.statistics.signed_rank import signed_rank_test
from jaxsched.bench.statistics.t_test import t_test
from jaxsched.bench.statistics.time_to_target import TimeAxis, first_at_target, times_to_target
from jaxsched.bench.study.target import Target
from jaxsched.bench.values import value_of
from jaxsched.tracking.records import Record


def compare_times(
    records: Sequence[Record], baseline: str, target: Target, time_axis: TimeAxis
) -> list[Comparison]:
    """Compares times to the target with the baseline's, seed by seed.

    Formula, where rᵢ is the ratio of times at seed i, below 1 if the experiment is faster. If both
    reached the target at every seed, with the mean d and the standard deviation s of log rᵢ:
        estimate = eᵈ,   low, high = e^(d ∓ t(1 − level / 2, n − 1) · s / √n),   effect_size = d / s
        p_value: Student's t-test of d = 0, two-sided
        s is at least √(mean of (uᵢ² + vᵢ²) / 12), where uᵢ and vᵢ say how well the two times are
            known: how far before them, relatively, the evaluation before was
    If one of them missed it, with rᵢ of 0 or infinity where only one of the two reached it:
        estimate = e^(median of log rᵢ), None if that is 0 or infinite; no interval
        p_value, effect_size: Wilcoxon's exact signed-rank test, see `signed_rank_test`

    Student's test assumes that log rᵢ is normally distributed. Without the least s it would find
    enormous values of t in times that agree because there were few evaluations. Where runs missed,
    ranks alone are compared, so that a miss is the longest time. The median is taken of logarithms:
    it is None where one of its two middle ratios is 0 or infinite, and turns into its reciprocal
    when the experiments are exchanged. Five seeds cannot give a p-value below 0.05, and six only if
    all of them agree. Seeds at which both missed are left out; if there are no others, there is no
    test.

    Args:
        records: the runs of a study.
        baseline: the name of one of its experiments.
        target: the value to reach.
        time_axis: the unit of time: updates, examples, epochs or training seconds.

    Returns:
        One comparison for each other experiment, in the order of the records.

    Source:
        Student, "The probable error of a mean" (1908); Wilcoxon, "Individual comparisons by ranking
        methods" (1945); Holm (1979).

    Example: see `compare_final`.
    """

    def compare(
        name: str, runs: Sequence[Record], of_baseline: Sequence[Record]
    ) -> tuple[Comparison, Interval]:
        times = [times_to_target(of, target, time_axis) for of in (runs, of_baseline)]
        if not runs:
            return Comparison(name, baseline, 0, None), None
        if not all(0 < time < math.inf for of in times for time in of):
            return _compare_ranks(name, baseline, *times), None
        logs = np.log(np.divide(times[0], times[1]))
        known_to = [_known_to(run, target, time_axis) for run in (*runs, *of_baseline)]
        least_sd = math.sqrt(2 * float(np.mean(np.square(known_to))) / 12)
        test = t_test(logs, least_sd) if len(runs) > 1 else None
        if test is None:
            return Comparison(name, baseline, len(runs), math.exp(np.mean(logs))), None
        estimate, effect_size = math.exp(test.mean), test.mean / test.sd
        found = Comparison(
            name, baseline, test.n, estimate, effect_size=effect_size, p_value=test.p_value
        )

        def interval(level: float) -> tuple[float, float]:
            low, high = np.exp(np.clip(test.interval(level), -700, 700))  # which stay finite
            return float(low), float(high)

        return found, interval

    return compare_with_baseline(records, baseline, compare)


def _known_to(run: Record, target: Target, time_axis: TimeAxis) -> float:
    """The share of a run's time to target that lies after the evaluation before."""
    first = first_at_target(run, target)
    assert first is not None  # it reached the target
    measured = (row for row in run.evaluations if value_of(row, target.metric.name) is not None)
    before = max((row[time_axis] for row in measured if row["step"] < first["step"]), default=0)
    return max(0.0, 1 - before / first[time_axis])


def _compare_ranks(
    name: str, baseline: str, times: Sequence[float], baseline_times: Sequence[float]
) -> Comparison:
    """Compares times of which some are infinite, or 0."""
    pairs = list(zip(times, baseline_times, strict=True))
    missed = [(math.isinf(time), math.isinf(other)) for time, other in pairs]
    ratios = [_ratio(*pair) for pair, both in zip(pairs, missed, strict=True) if not all(both)]
    test = signed_rank_test(ratios)
    return Comparison(
        name,
        baseline,
        len(pairs),
        _median(ratios),
        effect_size=None if test is None else test.effect_size,
        p_value=None if test is None else test.p_value,
        missed=missed.count((True, False)),
        baseline_missed=missed.count((False, True)),
        both_missed=missed.count((True, True)),
    )


def _ratio(time: float, other: float) -> float:
    if time == other:  # 0 / 0 would be NaN
        return 1.0
    return time / other if other else math.inf


def _median(ratios: Sequence[float]) -> float | None:
    """The median by factors; None if it is 0 or infinite, or if there are no ratios."""
    if not ratios:
        return None
    low, high = statistics.median_low(ratios), statistics.median_high(ratios)
    return math.sqrt(low * high) if low > 0 and high < math.inf else None
