"""What the runs of a grid say: which values are best, and how sure that is. Knows no JAX."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxsched.text import format_values
from jaxsched.tracking.records import Record

# A difference counts where its interval of this confidence is on one side of 0.
_CONFIDENCE = 0.95
_MOST_NAMED = 3


@dataclass(frozen=True)
class Result:
    """What the runs of one cell say.

    Attributes:
        name: of the cell.
        values: by the name of their axis.
        losses: the last validation loss of each seed; infinite where the run diverged.
        accuracies: the last validation accuracy of each seed that did not diverge.
        seconds: that each seed trained.
    """

    name: str
    values: Mapping[str, Any]
    losses: Mapping[int, float]
    accuracies: Mapping[int, float]
    seconds: Mapping[int, float]

    @property
    def num_diverged(self) -> int:
        """Of its runs."""
        return sum(math.isinf(loss) for loss in self.losses.values())

    @property
    def loss(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.losses.values())

    @property
    def loss_sd(self) -> float | None:
        """The standard deviation over seeds (n − 1); None for one seed or where one diverged."""
        return spread(self.losses.values()) if not self.num_diverged else None

    @property
    def accuracy(self) -> float | None:
        """The mean over the seeds that did not diverge; None where all did."""
        return statistics.fmean(self.accuracies.values()) if self.accuracies else None

    @property
    def accuracy_sd(self) -> float | None:
        """The standard deviation over seeds (n − 1); None for one seed."""
        return spread(self.accuracies.values())


def spread(values: Any) -> float | None:
    """Standard deviation (n − 1); None of fewer than two."""
    numbers = list(values)
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def result(values: Mapping[str, Any], records: Sequence[Record]) -> Result:
    """What the finished runs of one cell say at their end.

    Args:
        values: of the cell.
        records: a record a seed, at least one.
    """
    return Result(
        records[0].name,
        values,
        {record.header["seed"]: _last_loss(record) for record in records},
        {
            record.header["seed"]: record.evaluations[-1]["test_accuracy"]
            for record in records
            if not _has_diverged(record)
        },
        {
            record.header["seed"]: record.evaluations[-1]["train_seconds"]
            for record in records
            if record.evaluations
        },
    )


def _has_diverged(record: Record) -> bool:
    return record.end is not None and record.end["status"] == "diverged"


def _last_loss(record: Record) -> float:
    return math.inf if _has_diverged(record) else record.evaluations[-1]["test_loss"]


@dataclass(frozen=True)
class Ranking:
    """Which cell is best, and in words how sure that is.

    Attributes:
        best: the cell with the least mean loss; None where all diverged.
        advised: what to take: the largest weight decay within one standard error of the best.
        statements: sentences.
    """

    best: Result | None
    advised: Result | None
    statements: tuple[str, ...]


def rank_cells(results: Sequence[Result]) -> Ranking:
    """The verdict over the cells of a grid.

    Cells are compared over the seeds that they share: the difference to the best is d ± t · s / √n
    with the mean d and the standard deviation s of the differences seed by seed, and Student's t
    for 95 %. Where 0 is within, the two cannot be told apart. For weight decays the rule is of one
    standard error, d ≤ s / √n, because few seeds can tell hardly anything apart.

    Args:
        results: of the cells; one in which a seed diverged is never the best.

    Example:
        >>> from jaxsched.tune.grid.ranking import Result, rank_cells
        >>> def cell(decay, *losses):
        ...     of_seeds = dict(enumerate(losses))
        ...     return Result(f"wd{decay}", {"weight_decay": decay}, of_seeds, {}, {})
        >>> cells = [cell(1e-5, 0.9, 1.1), cell(1e-4, 0.5, 0.7), cell(1e-3, 0.8, 1.0)]
        >>> verdict = rank_cells(cells)
        >>> verdict.best.name, verdict.statements[0]
        ('wd0.0001', 'Best: weight decay 1e-4, with loss 0.6 ± 0.141 (n=2).')
    """
    most = max((len(r.losses) for r in results), default=0)
    whole = [r for r in results if not r.num_diverged and len(r.losses) == most]
    if not whole:
        return Ranking(None, None, ("No cell has come to its end: every one of them diverged.",))
    ranked = sorted(whole, key=lambda r: r.loss)
    best = ranked[0]
    equals = [r for r in ranked[1:] if not is_told_apart(best, r)]
    advised = _largest_decay(best, ranked[1:])
    statements = [f"Best: {format_values(best.values)}, with loss {loss_text(best)} (n={most})."]
    statements += [] if len(ranked) < 2 else [_on_the_runner_up(best, ranked[1], equals)]
    statements += [] if advised is best else [_on_decay(advised)]
    statements += _on_edges(best, results)
    return Ranking(best, advised, tuple(statements))


def is_told_apart(best: Result, other: Result) -> bool:
    """Whether the interval of their difference, paired over seeds, leaves out 0."""
    differences = _differences(best, other)
    if len(differences) < 2:
        return False
    from scipy import stats  # slow to import, and of use to no other command

    quantile = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(differences) - 1))
    return statistics.fmean(differences) > quantile * _standard_error(differences)


def _standard_error(differences: Sequence[float]) -> float:
    return statistics.stdev(differences) / math.sqrt(len(differences))


def _differences(best: Result, other: Result) -> list[float]:
    """By how much the other's loss is higher, seed by seed."""
    shared = [seed for seed in best.losses if seed in other.losses]
    return [other.losses[seed] - best.losses[seed] for seed in shared]


def _on_the_runner_up(best: Result, second: Result, equals: Sequence[Result]) -> str:
    differences = _differences(best, second)
    ahead = statistics.fmean(differences)
    if len(differences) < 2:
        return (
            f"{format_values(second.values)} is next, {ahead:.3g} behind. With one seed nothing "
            "says whether that is more than luck; run more seeds."
        )
    sd = statistics.stdev(differences)
    behind = (
        f"{format_values(second.values)} is next, {ahead:.3g} ± {sd:.2g} behind over the same seeds"
    )
    if second not in equals:
        return f"{behind}: the best is clear."
    names = "; ".join(format_values(r.values) for r in equals[:_MOST_NAMED])
    more = f" and {len(equals) - _MOST_NAMED} more" if len(equals) > _MOST_NAMED else ""
    return (
        f"{behind}. Not told apart from the best by these {len(differences)} seeds: {names}{more}."
    )


def _largest_decay(best: Result, others: Sequence[Result]) -> Result:
    """Of those within one standard error that differ in weight decay alone, that with the most."""
    name = "weight_decay"
    if name not in best.values:
        return best
    rest = {axis: value for axis, value in best.values.items() if axis != name}
    close = [
        other
        for other in others
        if rest.items() <= other.values.items()
        and len(differences := _differences(best, other)) > 1
        and statistics.fmean(differences) <= _standard_error(differences)
    ]
    return max([best, *close], key=lambda r: r.values[name])


def _on_decay(advised: Result) -> str:
    return (
        f"Take {format_values(advised.values)}: within one standard error of the best, and of "
        "weight decays that do equally well the largest is taken (Smith, arXiv 1803.09820, "
        "section 4.4)."
    )


def _on_edges(best: Result, results: Sequence[Result]) -> list[str]:
    """Where the best lies at an end of its axis, beyond which there may be better ones."""
    statements = []
    for name, value in best.values.items():
        tried = {r.values[name] for r in results}
        if len(tried) < 2 or not all(isinstance(v, int | float) for v in tried):
            continue
        if value == max(tried):
            statements.append(
                f"{format_values({name: value})} is the largest tried; go on with larger ones."
            )
        elif value == min(tried) and value > 0:
            statements.append(
                f"{format_values({name: value})} is the smallest tried; go on with smaller ones."
            )
    return statements


def loss_text(of: Result) -> str:
    """A mean ± sd, as far as they are known."""
    return f"{of.loss:.4g}" if of.loss_sd is None else f"{of.loss:.4g} ± {of.loss_sd:.3g}"
