"""Performance profiles and scores over several targets or workloads, as AlgoPerf has them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

R_MAX = 4.0


@dataclass(frozen=True)
class PerformanceProfile:
    """For each experiment: on what share of the tasks it is at most τ times slower than the best.

    Attributes:
        taus: growing, the first is 1, the last `R_MAX`.
        shares: by name, from each τ on until the next.
        scores: by name, the mean share over τ; 1 is best on all tasks.
        speedups: by name, the geometric mean of the best time / its own; 0 with any miss.
    """

    taus: tuple[float, ...]
    shares: Mapping[str, tuple[float, ...]]
    scores: Mapping[str, float]
    speedups: Mapping[str, float]


def performance_profile(times: Mapping[str, Sequence[float]]) -> PerformanceProfile:
    """Profiles of experiments over the tasks that all were given.

    Formula, with t the time of experiment s on task w and r = t / the least time on w:
        ρ_s(τ) = share of tasks with r ≤ τ
        score  = ∫ ρ_s(τ) dτ from 1 to 4, divided by 3

    A task that nobody finished counts in no share. The integral is exact: ρ is made of steps.

    Args:
        times: by experiment, one a task, `math.inf` for a miss; a median over seeds, say.

    Raises:
        ValueError: when there is nothing, the numbers of tasks differ, or a time is not above 0.

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
    with np.errstate(invalid="ignore"):  # ∞ / ∞ where nobody finished
        ratios = np.where(np.isinf(best), math.inf, table / best)
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
    counts = {name: len(of) for name, of in times.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(
            f"a performance profile needs a time of each experiment on each task, got {counts}."
        )
    table = np.array(list(times.values()), np.float64)
    if not (table > 0).all():
        raise ValueError(f"a performance profile needs times above 0, got {dict(times)}.")
    return table
