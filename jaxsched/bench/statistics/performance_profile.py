"""Performance profiles and scores over several targets or workloads, as in AlgoPerf."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# AlgoPerf scores ratios up to 4: an experiment that is slower than that counts as a miss.
R_MAX = 4.0


@dataclass(frozen=True)
class PerformanceProfile:
    """The share of tasks on which each experiment is at most τ times slower than the fastest.

    Attributes:
        taus: the values of τ at which a share changes, ascending from 1 to `R_MAX`.
        shares: by name, the share from each τ to the next.
        scores: by name, the mean share over τ; 1 means fastest on all tasks.
        speedups: by name, the geometric mean of the fastest time / its own time; 0 with any miss.
    """

    taus: tuple[float, ...]
    shares: Mapping[str, tuple[float, ...]]
    scores: Mapping[str, float]
    speedups: Mapping[str, float]


def performance_profile(times: Mapping[str, Sequence[float]]) -> PerformanceProfile:
    """Computes the performance profiles of experiments over tasks that all of them were given.

    Formula, where t is the time of experiment s on task w and r = t / the least time on w:
        ρ_s(τ) = share of tasks with r ≤ τ
        score  = ∫ ρ_s(τ) dτ from 1 to 4, divided by 3

    A task that no experiment finished counts in no share. The integral is exact, because ρ is a
    step function.

    Args:
        times: by experiment, one time a task, `math.inf` for a miss; such as medians over seeds.

    Raises:
        ValueError: if there are no times, the numbers of tasks differ, or a time is not above 0.

    Source:
        Dolan and Moré, "Benchmarking optimization software with performance profiles" (2002); Dahl
        et al., "Benchmarking neural network training algorithms" (arXiv 2306.07179), section 4.

    Example:
        >>> from jaxsched.bench import performance_profile
        >>> profile = performance_profile({"a": [10.0, 30.0], "b": [20.0, 10.0]})
        >>> profile.shares["a"], profile.scores["b"], round(profile.scores["a"], 3)
        ((0.5, 0.5, 1.0, 1.0), 0.8333333333333334, 0.667)
    """
    table = _checked(times)
    best = table.min(axis=0)
    with np.errstate(invalid="ignore"):  # ∞ / ∞ where no experiment finished
        ratios = np.where(np.isinf(best), math.inf, table / best)
    # A share changes only at a ratio, so that these values of τ suffice.
    inner = np.unique(ratios[(ratios > 1) & (ratios < R_MAX)])
    taus = np.array([1.0, *inner, R_MAX])
    shares = (ratios[:, :, None] <= taus).mean(axis=1)
    scores = (shares[:, :-1] * np.diff(taus)).sum(axis=1) / (R_MAX - 1)
    with np.errstate(divide="ignore"):
        speedups = np.exp(-np.log(ratios).mean(axis=1))
    return PerformanceProfile(
        taus=tuple(taus.tolist()),
        shares={name: tuple(row.tolist()) for name, row in zip(times, shares, strict=True)},
        scores=dict(zip(times, scores.tolist(), strict=True)),
        speedups=dict(zip(times, speedups.tolist(), strict=True)),
    )


def _checked(times: Mapping[str, Sequence[float]]) -> np.ndarray:
    counts = {name: len(row) for name, row in times.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(
            "a performance profile needs one time for each experiment and task, got these numbers "
            f"of times: {counts}."
        )
    table = np.array(list(times.values()), np.float64)
    if not (table > 0).all():
        raise ValueError(f"a performance profile needs times above 0, got {dict(times)}.")
    return table
