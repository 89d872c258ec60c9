"""The rules of AlgoPerf's competition: from the records of trials to scores. Imports no JAX."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jaxsched.bench.algoperf.competition import Workload
from jaxsched.bench.algoperf.studies import study_of
from jaxsched.bench.statistics import PerformanceProfile, first_at_target, performance_profile
from jaxsched.bench.statistics.performance_profile import R_MAX
from jaxsched.bench.study.target import Target
from jaxsched.tracking.records import Record

# By submission and workload, in seconds; infinite where the target was missed.
Times: TypeAlias = Mapping[str, Mapping[str, float]]
# What the best trial of a study has least of: (number of its evaluation at the target, seconds).
Order: TypeAlias = Callable[[tuple[int, float]], Any]


def by_evaluation(reached: tuple[int, float]) -> tuple[int, float]:
    """Orders trials by the number of the evaluation at the target, as the published scores do."""
    return reached


def by_seconds(reached: tuple[int, float]) -> float:
    """Orders trials by their seconds to the target, as the rules' text does."""
    return reached[1]


@dataclass(frozen=True)
class Standing:
    """The standing of the submissions of a competition.

    Attributes:
        times: the time of each submission on each workload: the median over studies of the time of
            the best trial.
        counted: the same for the scored workloads, infinite where a rule takes it away.
        reasons: by submission and scored workload, why it does not count, in words.
        profile: the performance profile over the scored workloads, with the scores.
    """

    times: Times
    counted: Times
    reasons: Mapping[str, Mapping[str, str]]
    profile: PerformanceProfile


def standing(
    workloads: Mapping[str, Workload],
    records: Mapping[str, Sequence[Record]],
    order: Order = by_evaluation,
) -> Standing:
    """Computes times and scores by the rules of the competition.

    Formula, for submission s and workload w:
        t(s, w) = median over studies of the seconds to the target of the study's best trial
        t(s, w) = ∞ if it is more than 4 times the least of all submissions
        t(s, w) = ∞ if w has a held-out variant and t(s, variant) = ∞
        score   = mean height of the performance profile, see `performance_profile`

    A variant counts as missed if its workload is. The best trial of a study is the one that reached
    the target at the earliest evaluation, as in the competition's own code. It need not be the
    fastest, because evaluations do not come after equal times.

    Args:
        workloads: the workloads, by name.
        records: the records of the trials, by workload.
        order: which of a study's trials is the best.

    Source:
        Dahl et al., "Benchmarking neural network training algorithms" (arXiv 2306.07179);
        scoring/performance_profile.py of github.com/mlcommons/algorithmic-efficiency.
    """
    names = list(dict.fromkeys(record.name for runs in records.values() for record in runs))
    times = {
        name: {
            workload: _time(of, [r for r in records.get(workload, ()) if r.name == name], order)
            for workload, of in workloads.items()
        }
        for name in names
    }
    variants = {of.base: name for name, of in workloads.items() if of.base and name in records}
    scored = [name for name, of in workloads.items() if of.base is None and name in records]
    # A variant's time counts for whoever reached the workload itself.
    fastest = {
        w: min(times[n][w] if _is_reached(times[n], of.base) else math.inf for n in names)
        for w, of in workloads.items()
    }
    reasons = {
        name: {
            w: reason
            for w in scored
            if (reason := _reason(times[name], w, variants.get(w), fastest))
        }
        for name in names
    }
    counted = {
        name: {w: math.inf if w in reasons[name] else times[name][w] for w in scored}
        for name in names
    }
    profile = performance_profile({name: list(row.values()) for name, row in counted.items()})
    return Standing(times, counted, reasons, profile)


def _time(workload: Workload, records: Sequence[Record], order: Order) -> float:
    """The median over studies of the best trial's seconds; infinite without any trial."""
    target = Target(workload.target, workload.metric)
    bests = []
    for study in sorted({study_of(record) for record in records}):
        reached = []
        for record in records:
            first = first_at_target(record, target) if study_of(record) == study else None
            if first is not None:
                number = sum(row["step"] < first["step"] for row in record.evaluations)
                reached.append((number, first["train_seconds"]))
        bests.append(min(reached, key=order)[1] if reached else math.inf)
    return statistics.median(bests) if bests else math.inf


def _is_reached(times: Mapping[str, float], workload: str | None) -> bool:
    return workload is None or math.isfinite(times[workload])


def _reason(
    times: Mapping[str, float], workload: str, variant: str | None, fastest: Mapping[str, float]
) -> str:
    """Why a time does not count; "" if it does."""
    if math.isinf(times[workload]):
        return "missed"
    if times[workload] > R_MAX * fastest[workload]:
        return f"over {R_MAX:g} times"
    if variant is None:
        return ""
    if math.isinf(times[variant]):
        return "variant missed"
    return f"variant over {R_MAX:g} times" if times[variant] > R_MAX * fastest[variant] else ""
