"""Experiments against a baseline, seed by seed, corrected for how many are compared."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import stats

from jaxsched.bench.statistics.median import median_interval
from jaxsched.bench.statistics.time_to_target import (
    SAME,
    TimeAxis,
    by_seed,
    final_accuracy,
    times_to_target,
)
from jaxsched.tracking.records import Record


@dataclass(frozen=True)
class Comparison:
    """One experiment against the baseline, over the seeds that both were run with.

    Attributes:
        name: of the experiment.
        baseline: what it is compared with.
        n: number of pairs.
        estimate: what the two differ by, see the function that made it; None without a pair, or
            where it is infinite.
        low: the lower end of its 95 % interval; None where it is unbounded or n is 1.
        high: likewise, the upper end.
        effect_size: how large that is beside the noise, see the function that made it.
        p_value: of no difference; None where a test is impossible, as with one pair.
        p_corrected: the same, after Holm, over all comparisons made with this one.
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
        """Whether a difference may be claimed: the corrected p is below 0.05."""
        return self.p_corrected is not None and self.p_corrected < 0.05


Compare: TypeAlias = Callable[[str, Sequence[Record], Sequence[Record]], Comparison]


def compare_accuracy(records: Sequence[Record], baseline: str) -> list[Comparison]:
    """Final accuracies against the baseline's, each seed with its own.

    Formula, with dᵢ the difference at seed i, its mean d and standard deviation s:
        estimate = d,   low, high = d ∓ t(0.975, n − 1) · s / √n,   effect_size = d / s
        p_value: Student's t-test of d = 0, two-sided

    A run that diverged or failed counts with its last evaluation. Two seeds are enough for a p,
    though only differences many times the noise can then be told; the t-test takes differences as
    normal.

    Args:
        records: of the runs of a study.
        baseline: the name of one of its experiments.

    Returns:
        One for each other experiment, in the order of the records.

    Source:
        Cohen, "Statistical power analysis" (1988), d_z; Holm, "A simple sequentially rejective
        multiple test procedure" (1979).

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench import compare_accuracy
        >>> def run(name, seed, accuracy):
        ...     return Record({"name": name, "seed": seed}, ({"test_accuracy": accuracy},), {})
        >>> base = [run("a", seed, 0.90 + seed / 100) for seed in range(3)]
        >>> better = [run("b", seed, 0.92 + seed / 100 + seed / 1000) for seed in range(3)]
        >>> (found,) = compare_accuracy(base + better, "a")
        >>> found.n, round(found.estimate, 4), found.is_significant
        (3, 0.021, True)
    """

    def compare(name: str, mine: Sequence[Record], other: Sequence[Record]) -> Comparison:
        pairs = [
            (a, b)
            for a, b in zip(map(final_accuracy, mine), map(final_accuracy, other), strict=True)
            if a is not None and b is not None
        ]
        differences = np.array([a - b for a, b in pairs])
        if len(pairs) < 2:
            mean = float(differences[0]) if len(pairs) else None
            return Comparison(name, baseline, len(pairs), mean, None, None, None, None)
        mean, sd = float(differences.mean()), float(differences.std(ddof=1))
        if np.ptp(differences) < SAME:  # no spread: the test is undefined
            return Comparison(name, baseline, len(pairs), mean, mean, mean, None, None)
        half = float(stats.t.ppf(0.975, len(pairs) - 1)) * sd / math.sqrt(len(pairs))
        low, high = mean - half, mean + half
        p_value = 2 * float(stats.t.sf(abs(mean) / sd * math.sqrt(len(pairs)), len(pairs) - 1))
        return Comparison(name, baseline, len(pairs), mean, low, high, mean / sd, p_value)

    return _against_baseline(records, baseline, compare)


def compare_times(
    records: Sequence[Record], baseline: str, target: float, clock: TimeAxis
) -> list[Comparison]:
    """Times to the target against the baseline's, each seed with its own.

    Formula, with rᵢ the ratio of times at seed i, below 1 where the experiment is faster than the
    baseline, 0 or infinite where one of the two missed, and 1 where both did:
        estimate = median of rᵢ,   low, high: its bootstrap interval, see `median_interval`
        effect_size = share of the seeds with rᵢ < 1, those with rᵢ = 1 counted half
        p_value: Wilcoxon's signed-rank test on log rᵢ, two-sided and exact, ties and all

    The test knows ranks alone, so a miss is simply the largest of times; but five seeds cannot give
    a p below 0.05, and six only if all of them agree. `compare_accuracy` says more of fewer.

    Args:
        records: of the runs of a study.
        baseline: the name of one of its experiments.
        target: test accuracy, a share.
        clock: updates, examples, epochs or training seconds.

    Returns:
        One for each other experiment, in the order of the records.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods" (1945); Holm (1979).

    Example: see `compare_accuracy`.
    """

    def compare(name: str, mine: Sequence[Record], other: Sequence[Record]) -> Comparison:
        times = zip(*(times_to_target(runs, target, clock) for runs in (mine, other)), strict=True)
        ratios = [_ratio(a, b) for a, b in times]
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
            wins / len(ratios),
            _signed_rank(ratios),
        )

    return _against_baseline(records, baseline, compare)


def _ratio(mine: float, other: float) -> float:
    if math.isinf(mine) and math.isinf(other):
        return 1.0
    return mine / other


def _signed_rank(ratios: Sequence[float]) -> float | None:
    """The p of Wilcoxon's test; None for one pair, 1 where no two pairs differ."""
    if len(ratios) < 2:
        return None
    with np.errstate(divide="ignore"):  # log 0 = −∞, the largest gain
        logs = np.round(np.log(np.array(ratios)), 12)  # 0.8 and 1 / 0.8 tie
    differing = logs[logs != 0]
    if differing.size < 2:  # either sign is as likely
        return 1.0
    # SciPy's exact test knows no ties, and tries all signs one by one where there are some.
    # Twice the ranks: whole numbers even where ties share one.
    ranks = np.rint(2 * stats.rankdata(np.abs(differing))).astype(int)
    total = int(ranks.sum())
    chances = np.ones(1)  # of each sum of the ranks that got a plus
    for rank in ranks:
        shifted = np.concatenate([np.zeros(rank), chances])
        chances = (np.concatenate([chances, np.zeros(rank)]) + shifted) / 2
    positive = int(ranks[differing > 0].sum())
    fewer = min(positive, total - positive)
    return float(min(1.0, 2 * chances[: fewer + 1].sum()))


def _against_baseline(
    records: Sequence[Record], baseline: str, compare: Compare
) -> list[Comparison]:
    """All others against the baseline, with corrected p."""
    other = by_seed(records, baseline)
    found = []
    for name in dict.fromkeys(record.name for record in records):
        if name != baseline:
            mine = by_seed(records, name)
            seeds = [seed for seed in mine if seed in other]
            found.append(compare(name, [mine[s] for s in seeds], [other[s] for s in seeds]))
    corrected = iter(holm([c.p_value for c in found if c.p_value is not None]))
    return [
        c if c.p_value is None else dataclasses.replace(c, p_corrected=next(corrected))
        for c in found
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number, so that one false claim among them stays improbable.

    Formula, for the k-th smallest of m, from 1:
        corrected = the largest of (m − j + 1) · pⱼ over j ≤ k, at most 1

    Source:
        Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Example:
        >>> from jaxsched.bench.statistics import holm
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(factors * np.asarray(p_values, np.float64)[order])
    return np.minimum(corrected, 1).tolist()
