"""Experiments compared with the baseline, seed by seed."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxsched.bench.statistics.holm import holm, holm_levels
from jaxsched.bench.statistics.t_test import t_test
from jaxsched.bench.values import final_value
from jaxsched.tracking.records import Record

LEVEL = 0.05  # of a claim


@dataclass(frozen=True)
class Comparison:
    """One experiment compared with the baseline, over the seeds that both ran with.

    `compare_final` and `compare_times` say what is estimated and tested.

    Attributes:
        name: the experiment.
        baseline: the experiment it is compared with.
        n: the number of seeds that both ran with.
        estimate: how the two differ; None if n is 0, or if too many runs missed the target.
        low: the lower end of the interval of the estimate, which leaves "no difference" out exactly
            where `is_significant`, see `holm_levels`; None if there is no interval.
        high: its upper end.
        effect_size: the size of the difference relative to the noise, below 0 if the experiment's
            values are the lower ones; None if there is no test.
        p_value: the p-value of no difference; None if there is no test, as with one pair.
        p_corrected: the p-value after Holm's correction over all comparisons made together.
        missed: at how many of the seeds it alone missed the target; 0 for final values.
        baseline_missed: at how many the baseline alone did.
        both_missed: at how many both did, which says nothing about their difference.
    """

    name: str
    baseline: str
    n: int
    estimate: float | None
    low: float | None = None
    high: float | None = None
    effect_size: float | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    missed: int = 0
    baseline_missed: int = 0
    both_missed: int = 0

    @property
    def is_significant(self) -> bool:
        """Whether a difference may be claimed: the corrected p-value is below 0.05."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    @property
    def is_lower(self) -> bool:
        """Whether the experiment's values are the lower ones; its times, the shorter ones."""
        return (self.effect_size or 0) < 0


# The interval at a level, for a comparison that has one.
Interval: TypeAlias = Callable[[float], tuple[float, float]] | None
# Compares an experiment's runs with the baseline's runs of the same seeds, in the same order.
Compare: TypeAlias = Callable[
    [str, Sequence[Record], Sequence[Record]], tuple[Comparison, Interval]
]


def compare_final(records: Sequence[Record], baseline: str, column: str) -> list[Comparison]:
    """Compares the final values of a column with the baseline's, seed by seed.

    Formula, where the difference at seed i is dᵢ, with mean d and standard deviation s:
        estimate = d,   low, high = d ∓ t(1 − level / 2, n − 1) · s / √n,   effect_size = d / s
        p_value: Student's t-test of d = 0, two-sided

    A run that diverged or failed counts with its last evaluation, unless that is not finite. Two
    seeds give a p-value, but with so few only differences many times the noise can be claimed. The
    t-test assumes that the differences are normally distributed. The interval's level is at most
    5 %, see `holm_levels`.

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

    def compare(
        name: str, runs: Sequence[Record], of_baseline: Sequence[Record]
    ) -> tuple[Comparison, Interval]:
        pairs = [
            (final_value(run, column), final_value(other, column))
            for run, other in zip(runs, of_baseline, strict=True)
        ]
        differences = [a - b for a, b in pairs if a is not None and b is not None]
        n = len(differences)
        test = t_test(differences) if n > 1 else None
        if test is None:
            mean = sum(differences) / n if n else math.nan
            return Comparison(name, baseline, n, mean if math.isfinite(mean) else None), None
        found = Comparison(
            name,
            baseline,
            n,
            test.mean,
            effect_size=test.mean / test.sd,
            p_value=test.p_value,
        )
        return found, test.interval

    return compare_with_baseline(records, baseline, compare)


def compare_with_baseline(
    records: Sequence[Record], baseline: str, compare: Compare
) -> list[Comparison]:
    """Compares all other experiments with the baseline, corrected together.

    Args:
        records: the runs of a study.
        baseline: the name of one of its experiments.
        compare: compares an experiment's runs with the baseline's runs of the same seeds.
    """
    of_baseline = _by_seed(records, baseline)
    found = []
    for name in dict.fromkeys(record.name for record in records):
        if name != baseline:
            runs = _by_seed(records, name)
            seeds = [seed for seed in runs if seed in of_baseline]
            found.append(compare(name, [runs[s] for s in seeds], [of_baseline[s] for s in seeds]))
    return _corrected(found)


def _corrected(found: Sequence[tuple[Comparison, Interval]]) -> list[Comparison]:
    """Adds the corrected p-values and the intervals that agree with them."""
    p_values = [one.p_value for one, _ in found if one.p_value is not None]
    corrections = zip(holm(p_values), holm_levels(p_values, LEVEL), strict=True)
    comparisons = []
    for one, interval in found:
        if one.p_value is not None:
            p_corrected, level = next(corrections)
            low, high = interval(level) if interval else (math.nan, math.nan)
            one = dataclasses.replace(one, p_corrected=p_corrected)
            if math.isfinite(low) and math.isfinite(high):
                one = dataclasses.replace(one, low=low, high=high)
        comparisons.append(one)
    return comparisons


def _by_seed(records: Sequence[Record], name: str) -> dict[int, Record]:
    return {record.header["seed"]: record for record in records if record.name == name}
