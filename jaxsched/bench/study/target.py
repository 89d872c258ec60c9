"""The value to reach: a number, or a rule that sets it from a baseline's runs.

Imports no JAX.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from jaxsched.bench.study.unfinished import NothingYetError
from jaxsched.bench.values import best_value
from jaxsched.metric import Metric
from jaxsched.tracking.records import Record


@dataclass(frozen=True)
class Target:
    """A value to reach, with its origin.

    Attributes:
        value: the value; a share if the metric is one.
        metric: the metric, under the name of its column, such as `test_accuracy`.
        origin: how it was set, in words.
    """

    value: float
    metric: Metric
    origin: str = "set by hand"

    @property
    def short(self) -> str:
        """The value as text, such as "90.0%" or "2.1"."""
        return f"{self.value:.1%}" if self.metric.is_share else self.metric.show(self.value)

    @property
    def words(self) -> str:
        """The target in words, such as "90.0% test accuracy" or "a test loss of 2.1"."""
        if self.metric.is_share:
            return f"{self.short} {self.metric.words}"
        return f"a {self.metric.words} of {self.short}"


@dataclass(frozen=True)
class MedianBest:
    """AlgoPerf's rule: the target is the value that a baseline reaches in half of its runs.

    Formula:
        target = median over the baseline's runs of the best value of each

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


def resolve_target(target: float | MedianBest, metric: Metric, records: Sequence[Record]) -> Target:
    """Returns the value to reach, with its origin.

    Args:
        target: a study's target, a number or a rule.
        metric: the metric, under the name of its column.
        records: the records of the study's runs.

    Raises:
        NothingYetError: if the rule's baseline has no finished run with an evaluation.

    Example:
        >>> from jaxsched.bench import MedianBest, resolve_target
        >>> from jaxsched.metric import Metric
        >>> from jaxsched.tracking import Record
        >>> def run(*losses):
        ...     rows = tuple({"test_loss": loss} for loss in losses)
        ...     return Record({"name": "steps", "seed": 0}, rows, {"status": "finished"})
        >>> runs = [run(2.7, 2.5), run(2.2, 2.4), run(2.3, 2.9)]
        >>> target = resolve_target(MedianBest("steps"), Metric("test_loss", "lower"), runs)
        >>> target.value, target.origin
        (2.3, 'median over 3 runs of the best evaluation of steps')
    """
    if not isinstance(target, MedianBest):
        return Target(target, metric)
    runs = (r for r in records if r.name == target.baseline and r.is_complete)
    bests = [best for run in runs if (best := best_value(run, metric)) is not None]
    if not bests:
        raise NothingYetError(
            f"the target is the median best of {target.baseline}, which has no finished run yet; "
            "run it first, or set the target as a number."
        )
    count = "1 run" if len(bests) == 1 else f"{len(bests)} runs"
    origin = f"median over {count} of the best evaluation of {target.baseline}"
    return Target(statistics.median(bests), metric, origin)
