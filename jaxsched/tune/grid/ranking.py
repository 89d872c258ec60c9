"""Ranks the cells of a grid, and tells how sure the ranking is. Imports no JAX."""

import math
import statistics
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxsched.text import format_values
from jaxsched.tracking.records import Record

# Two cells differ if the interval of their difference at this confidence leaves out 0.
_CONFIDENCE = 0.95
_MOST_NAMED = 3


@dataclass(frozen=True)
class Result:
    """The losses, scores and training times of one cell's runs.

    Attributes:
        name: the name of the cell's experiment.
        values: the cell's values by the name of their axis.
        losses: the last validation loss of each seed; infinite if the run diverged.
        scores: the last validation value of the task's main metric, such as the accuracy, of each
            seed that did not diverge.
        seconds: the training seconds of each seed.
    """

    name: str
    values: Mapping[str, Any]
    losses: Mapping[int, float]
    scores: Mapping[int, float]
    seconds: Mapping[int, float]

    @property
    def num_diverged(self) -> int:
        """The number of runs that diverged."""
        return sum(math.isinf(loss) for loss in self.losses.values())

    @property
    def loss(self) -> float:
        """The mean loss over seeds."""
        return statistics.fmean(self.losses.values())

    @property
    def loss_sd(self) -> float | None:
        """The standard deviation over seeds (n − 1); None for one seed, or if one diverged."""
        return None if self.num_diverged else _sd(self.losses.values())

    @property
    def score(self) -> float | None:
        """The mean score over the seeds that did not diverge; None if all did."""
        return statistics.fmean(self.scores.values()) if self.scores else None

    @property
    def score_sd(self) -> float | None:
        """The standard deviation over seeds (n − 1); None for one seed."""
        return _sd(self.scores.values())


def _sd(values: Collection[float]) -> float | None:
    """The standard deviation (n − 1); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def cell_result(values: Mapping[str, Any], records: Sequence[Record]) -> Result:
    """Returns the result of a cell at the end of its finished runs.

    Args:
        values: the values of the cell.
        records: one record for each seed, at least one.
    """
    return Result(
        records[0].name,
        values,
        {record.header["seed"]: _last_loss(record) for record in records},
        {
            record.header["seed"]: record.evaluations[-1][record.main_column]
            for record in records
            if not has_diverged(record)
        },
        {
            record.header["seed"]: record.evaluations[-1]["train_seconds"]
            for record in records
            if record.evaluations
        },
    )


def has_diverged(record: Record) -> bool:
    """Returns whether the run ended by diverging."""
    return record.end is not None and record.end["status"] == "diverged"


def _last_loss(record: Record) -> float:
    return math.inf if has_diverged(record) else record.evaluations[-1]["test_loss"]


@dataclass(frozen=True)
class Ranking:
    """The best cell of a grid, and sentences that tell how sure that is.

    Attributes:
        best: the cell with the lowest mean loss; None if every cell with all its seeds diverged.
        advised: the cell to take: the largest weight decay within one standard error of the best.
        statements: sentences for the reader.
        reason: why that cell is to be taken, and how sure that is, as sentences; or why none is.
    """

    best: Result | None
    advised: Result | None
    statements: tuple[str, ...]
    reason: str


def rank_cells(results: Sequence[Result]) -> Ranking:
    """Ranks the cells of a grid by their mean loss.

    Cells are compared over the seeds that they share by a paired t test: the difference to the best
    cell is d ± t · s / √n with the mean d and the standard deviation s of the differences seed by
    seed, and Student's t for 95 %. If 0 lies within that interval, the two cells cannot be told
    apart. For the advised weight decay the rule is one standard error, d ≤ s / √n, because few
    seeds can tell hardly any two cells apart.

    Args:
        results: the results of the cells; a cell in which a seed diverged, or with fewer seeds than
            others, is never the best.

    Example:
        >>> from jaxsched.tune.grid.ranking import Result, rank_cells
        >>> def cell(decay, *losses):
        ...     by_seed = dict(enumerate(losses))
        ...     return Result(f"wd{decay}", {"weight_decay": decay}, by_seed, {}, {})
        >>> cells = [cell(1e-5, 0.9, 1.1), cell(1e-4, 0.5, 0.7), cell(1e-3, 0.8, 1.0)]
        >>> ranking = rank_cells(cells)
        >>> ranking.best.name, ranking.statements[0]
        ('wd0.0001', 'Best: weight decay 1e-4, with loss 0.6 ± 0.141 (n=2).')
    """
    num_seeds = max((len(r.losses) for r in results), default=0)
    complete = [r for r in results if not r.num_diverged and len(r.losses) == num_seeds]
    if not complete:
        none = _no_best(results)
        return Ranking(None, None, (none,), none)
    best, *others = sorted(complete, key=lambda r: r.loss)
    ties = [r for r in others if not is_clearly_better(best, r)]
    advised = _largest_decay(best, others)
    statements = [
        f"Best: {format_values(best.values)}, with loss {loss_text(best)} (n={num_seeds})."
    ]
    runner_up = [] if not others else [_runner_up_statement(best, others[0], ties)]
    statements += runner_up
    statements += [] if advised is best else [_decay_statement(advised)]
    statements += _edge_statements(best, results)
    lowest = f"Taken: {format_values(best.values)}, whose mean loss over {_seeds(num_seeds)}, "
    lowest += f"{best.loss:.4g}, is the lowest."
    reasons = [lowest if advised is best else _decay_statement(advised), *runner_up]
    return Ranking(best, advised, tuple(statements), " ".join(reasons))


def _seeds(number: int) -> str:
    return "one seed" if number == 1 else f"{number} seeds"


def _no_best(results: Sequence[Result]) -> str:
    """Why no cell is the best."""
    if all(result.num_diverged for result in results):
        return "No cell finished: every one of them diverged."
    waiting = [r for r in results if not r.num_diverged]
    names = "; ".join(format_values(r.values) for r in waiting[:_MOST_NAMED])
    more = f" and {len(waiting) - _MOST_NAMED} more" if len(waiting) > _MOST_NAMED else ""
    return (
        "No best yet: every cell with all its seeds diverged, and these have runs missing: "
        f"{names}{more}. Run the same command again."
    )


def is_clearly_better(best: Result, other: Result) -> bool:
    """Returns whether the interval of the difference in loss, paired over seeds, is above 0."""
    differences = _differences(best, other)
    if len(differences) < 2:
        return False
    from scipy import stats  # slow to import, and most commands do not need it

    with warnings.catch_warnings():
        # Differences that are equal for all seeds have no spread, of which SciPy warns.
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = stats.ttest_1samp(differences, 0.0).confidence_interval(_CONFIDENCE)
    return bool(interval.low > 0)


def _standard_error(differences: Sequence[float]) -> float:
    return statistics.stdev(differences) / math.sqrt(len(differences))


def _differences(best: Result, other: Result) -> list[float]:
    """The loss of the other cell minus that of this one, seed by seed."""
    shared = [seed for seed in best.losses if seed in other.losses]
    return [other.losses[seed] - best.losses[seed] for seed in shared]


def _runner_up_statement(best: Result, second: Result, ties: Sequence[Result]) -> str:
    differences = _differences(best, second)
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return (
            f"Next is {format_values(second.values)}, {mean:.3g} behind. One seed cannot tell "
            "whether that is more than luck; run more seeds."
        )
    sd = statistics.stdev(differences)
    behind = (
        f"Next is {format_values(second.values)}, {mean:.3g} ± {sd:.2g} behind over the same seeds"
    )
    if second not in ties:
        return f"{behind}: the best is clear."
    names = "; ".join(format_values(r.values) for r in ties[:_MOST_NAMED])
    more = f" and {len(ties) - _MOST_NAMED} more" if len(ties) > _MOST_NAMED else ""
    return f"{behind}. These {len(differences)} seeds cannot tell the best from: {names}{more}."


def _largest_decay(best: Result, others: Sequence[Result]) -> Result:
    """The cell with the largest weight decay within one standard error of the best.

    Only cells that differ from the best in nothing but weight decay are considered.
    """
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


def _decay_statement(advised: Result) -> str:
    return (
        f"Take {format_values(advised.values)}: it is within one standard error of the best, and "
        "of weight decays that do equally well the largest is to be taken (Smith, arXiv "
        "1803.09820, section 4.4)."
    )


def _edge_statements(best: Result, results: Sequence[Result]) -> list[str]:
    """Statements for each axis at whose end the best value lies: better ones may lie beyond it."""
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


def loss_text(result: Result) -> str:
    """Returns the mean loss ± its standard deviation; the mean alone if there is no deviation."""
    sd = "" if result.loss_sd is None else f" ± {result.loss_sd:.3g}"
    return f"{result.loss:.4g}{sd}"
