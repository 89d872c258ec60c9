"""Experiments compared with the baseline, seed by seed."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from jaxsched.bench.statistics.holm import holm
from jaxsched.bench.statistics.median import median_interval
from jaxsched.bench.statistics.signed_rank import signed_rank_p_value
from jaxsched.bench.statistics.t_test import t_test
from jaxsched.bench.statistics.time_to_target import TimeAxis, times_to_target
from jaxsched.bench.study.target import Target
from jaxsched.bench.values import final_value
from jaxsched.tracking.records import Record


@dataclass(frozen=True)
class Comparison:
    """One experiment compared with the baseline, over the seeds that both ran with.

    `compare_final` and `compare_times` say what is estimated and tested.

    Attributes:
        name: the experiment.
        baseline: the experiment it is compared with.
        n: the number of seeds that both ran with.
        estimate: how the two differ; None if n is 0 or the estimate is infinite.
        low: the lower end of its 95 % interval; None if it is unbounded or n is 1.
        high: the upper end of its 95 % interval; None if it is unbounded or n is 1.
        effect_size: the size of the difference relative to the noise.
        p_value: the p-value of no difference; None if there is no test, as with one pair.
        p_corrected: the p-value after Holm's correction over all comparisons made together.
    """

    name: str
    baseline: str
    n: int
    estimate: float | None
    low: float | None
    high: float | None
    effect_size: float | None
    p_value: float | None
    p_corrected: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether a difference may be claimed: the corrected p-value is below 0.05."""
        return self.p_corrected is not None and self.p_corrected < 0.05


# Compares an experiment's runs with the baseline's runs of the same seeds, in the same order.
_Compare: TypeAlias = Callable[[str, Sequence[Record], Sequence[Record]], Comparison]


def compare_final(records: Sequence[Record], baseline: str, column: str) -> list[Comparison]:
    """Compares the final values of a column with the baseline's, seed by seed.

    Formula, where the difference at seed i is dᵢ, with mean d and standard deviation s:
        estimate = d,   low, high = d ∓ t(0.975, n − 1) · s / √n,   effect_size = d / s
        p_value: Student's t-test of d = 0, two-sided

    A run that diverged or failed counts with its last evaluation, unless that is not finite. Two
    seeds give a p-value, but with so few only differences many times the noise can be claimed. The
    t-test assumes that the differences are normally distributed.

    Args:
        records: the runs of a study.
        baseline: the name of one of its experiments.
        column: the column of the evaluations, such as `test_accuracy`.

    Returns:
        One comparison for each other experiment, in the order of the records.

    Source:
        Cohen, "Statistical power analysis" (1988), d_z; Holm, "A simple sequentially rejective
        multiple test procedure" (1979).

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import compare_final
        >>> def run(name, seed, accuracy):
        ...     return Record({"name": name, "seed": seed}, ({"test_accuracy": accuracy},), {})
        >>> base = [run("a", seed, 0.90 + seed / 100) for seed in range(3)]
        >>> better = [run("b", seed, 0.92 + seed / 100 + seed / 1000) for seed in range(3)]
        >>> (found,) = compare_final(base + better, "a", "test_accuracy")
        >>> found.n, round(found.estimate, 4), found.is_significant
        (3, 0.021, True)
    """

    def compare(name: str, runs: Sequence[Record], of_baseline: Sequence[Record]) -> Comparison:
        pairs = [
            (final_value(run, column), final_value(other, column))
            for run, other in zip(runs, of_baseline, strict=True)
        ]
        differences = [a - b for a, b in pairs if a is not None and b is not None]
        n = len(differences)
        mean = float(np.mean(differences)) if n else None
        if n < 2 or mean is None:
            return Comparison(name, baseline, n, mean, None, None, None, None)
        test = t_test(differences)
        if test is None:  # no spread: the interval is a point, and there is no test
            return Comparison(name, baseline, n, mean, mean, mean, None, None)
        low, high = map(float, test.confidence_interval(0.95))
        effect_size = mean / float(np.std(differences, ddof=1))
        return Comparison(name, baseline, n, mean, low, high, effect_size, float(test.pvalue))

    return _compare_with_baseline(records, baseline, compare)


def compare_times(
    records: Sequence[Record], baseline: str, target: Target, time_axis: TimeAxis
) -> list[Comparison]:
    """Compares times to the target with the baseline's, seed by seed.

    Formula, where rᵢ is the ratio of times at seed i: below 1 if the experiment is faster than the
    baseline, 0 or infinite if only one of the two reached the target, 1 if neither did:
        estimate = median of rᵢ,   low, high: its bootstrap interval, see `median_interval`
        effect_size = share of the seeds with rᵢ < 1, those with rᵢ = 1 counted half
        p_value: Wilcoxon's signed-rank test on log rᵢ, two-sided and exact, see
            `signed_rank_p_value`

    The test uses ranks alone, so that a miss simply ranks as the longest time. But five seeds
    cannot give a p-value below 0.05, and six only if all of them agree. With so few seeds
    `compare_final` can claim more.

    Args:
        records: the runs of a study.
        baseline: the name of one of its experiments.
        target: the value to reach.
        time_axis: the unit of time: updates, examples, epochs or training seconds.

    Returns:
        One comparison for each other experiment, in the order of the records.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods" (1945); Holm (1979).

    Example: see `compare_final`.
    """

    def compare(name: str, runs: Sequence[Record], of_baseline: Sequence[Record]) -> Comparison:
        times = times_to_target(runs, target, time_axis)
        baseline_times = times_to_target(of_baseline, target, time_axis)
        ratios = [_ratio(a, b) for a, b in zip(times, baseline_times, strict=True)]
        if not ratios:
            return Comparison(name, baseline, 0, None, None, None, None, None)
        median = median_interval(ratios)
        wins = sum(ratio < 1 for ratio in ratios) + sum(ratio == 1 for ratio in ratios) / 2
        return Comparison(
            name,
            baseline,
            median.n,
            median.value,
            median.low,
            median.high,
            effect_size=wins / len(ratios),
            p_value=signed_rank_p_value(ratios),
        )

    return _compare_with_baseline(records, baseline, compare)


def _ratio(time: float, baseline_time: float) -> float:
    if math.isinf(time) and math.isinf(baseline_time):  # ∞ / ∞ would be NaN
        return 1.0
    return time / baseline_time


def _compare_with_baseline(
    records: Sequence[Record], baseline: str, compare: _Compare
) -> list[Comparison]:
    """Compares all other experiments with the baseline and corrects their p-values together."""
    of_baseline = _by_seed(records, baseline)
    found = []
    for name in dict.fromkeys(record.name for record in records):
        if name != baseline:
            runs = _by_seed(records, name)
            seeds = [seed for seed in runs if seed in of_baseline]
            found.append(compare(name, [runs[s] for s in seeds], [of_baseline[s] for s in seeds]))
    corrected = iter(holm([c.p_value for c in found if c.p_value is not None]))
    return [
        c if c.p_value is None else dataclasses.replace(c, p_corrected=next(corrected))
        for c in found
    ]


def _by_seed(records: Sequence[Record], name: str) -> dict[int, Record]:
    return {record.header["seed"]: record for record in records if record.name == name}
