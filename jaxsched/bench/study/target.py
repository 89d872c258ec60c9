"""The accuracy to reach: a number, or a rule that sets it from a baseline's runs.

Imports no JAX.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from jaxsched.tracking.records import Record


@dataclass(frozen=True)
class Target:
    """A test accuracy to reach, with its origin.

    Attributes:
        accuracy: the accuracy, a share.
        origin: how it was set, in words.
    """

    accuracy: float
    origin: str


@dataclass(frozen=True)
class MedianBest:
    """AlgoPerf's rule: the target is the accuracy that a baseline reaches in half of its runs.

    Formula:
        target = median over the baseline's runs of the best test accuracy of each

    AlgoPerf takes 20 seeds of the best of four tuned optimizers. With fewer runs the target is less
    certain; `Target.origin` names their number. By construction the baseline misses the target in
    about half of the runs that set it, which puts it at a disadvantage in a comparison.

    Attributes:
        baseline: the name of an experiment of the study.

    Source:
        Dahl et al., "Benchmarking neural network training algorithms" (arXiv 2306.07179).

    Example: `study = Study(…, target=MedianBest("multi_step"))`.
    """

    baseline: str


def resolve_target(target: float | MedianBest, records: Sequence[Record]) -> Target:
    """Returns the accuracy to reach, with its origin.

    Args:
        target: a study's target, a number or a rule.
        records: the records of the study's runs.

    Raises:
        ValueError: if the rule's baseline has no finished run with an evaluation.

    Example:
        >>> from jaxsched.bench import MedianBest, resolve_target
        >>> from jaxsched.tracking import Record
        >>> def run(*accuracies):
        ...     rows = tuple({"test_accuracy": accuracy} for accuracy in accuracies)
        ...     return Record({"name": "steps", "seed": 0}, rows, {"status": "finished"})
        >>> resolve_target(MedianBest("steps"), [run(0.7, 0.9), run(0.8, 0.7), run(0.85, 0.5)])
        Target(accuracy=0.85, origin='median over 3 runs of the best evaluation of steps')
    """
    if not isinstance(target, MedianBest):
        return Target(target, "set by hand")
    bests = [
        max(row["test_accuracy"] for row in record.evaluations)
        for record in records
        if record.name == target.baseline and record.is_complete and record.evaluations
    ]
    if not bests:
        raise ValueError(
            f"the target is the median best of {target.baseline}, which has no finished run yet; "
            "run it first, or set the target as a number."
        )
    runs = "1 run" if len(bests) == 1 else f"{len(bests)} runs"
    origin = f"median over {runs} of the best evaluation of {target.baseline}"
    return Target(statistics.median(bests), origin)
