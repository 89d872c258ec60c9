"""The weights that count: raw ones, their average, or the better of the two. Imports no JAX.

Raw weights and their average are two curves of one run. All statistics read views of the records in
which the study's column holds what counts at each evaluation.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxsched.bench.statistics.comparison import Comparison, compare_final
from jaxsched.bench.values import value_of
from jaxsched.metric import Evaluate, Metric, column_of_average
from jaxsched.tracking.records import Record

# The value that counts in a row, by the metric and the column of its average.
_Choice = Callable[[Mapping[str, Any], Metric, str], Any]


def _better(row: Mapping[str, Any], metric: Metric, averaged: str) -> Any:
    found = (value_of(row, metric.name), value_of(row, averaged))
    finite = [value for value in found if value is not None]
    return metric.best(finite) if finite else row[averaged]


_CHOICES: Mapping[Evaluate, _Choice] = {
    "averaged": lambda row, metric, averaged: row[averaged],
    "raw": lambda row, metric, averaged: row.get(metric.name),
    "better": _better,
}
_WORDS: Mapping[Evaluate, str] = {
    "averaged": "averaged weights count where an experiment has them",
    "raw": "raw weights count, averaged ones do not",
    "better": "the better of raw and averaged weights counts at each evaluation",
}


def has_average(record: Record, metric: Metric) -> bool:
    """Returns whether an evaluation of the run has the metric's value of averaged weights."""
    averaged = column_of_average(metric.name)
    return any(_has(row, averaged) for row in record.evaluations)


def counted(record: Record, metric: Metric, evaluate: Evaluate) -> Record:
    """Returns the record with what counts in the metric's column.

    An evaluation without an average, such as one before its first weights, counts with the raw
    weights: they are those that one would use if training ended there. A metric of training
    examples or of averaged weights has no average of its own and counts as it stands. An average
    that is not finite counts as such, unless the better of the two counts.

    Args:
        record: the record of a run, of the trainer or of one's own loop.
        metric: the study's metric, under the name of its column.
        evaluate: the weights that count, see `Study`.

    Example:
        >>> from jaxsched.bench import counted
        >>> from jaxsched.metric import Metric
        >>> from jaxsched.tracking import Record
        >>> rows = (
        ...     {"step": 10, "test_loss": 2.5, "averaged_test_loss": None},
        ...     {"step": 20, "test_loss": 2.4, "averaged_test_loss": 2.1},
        ...     {"step": 30, "test_loss": 1.9, "averaged_test_loss": 2.0},
        ... )
        >>> record, loss = Record({}, rows, {}), Metric("test_loss", "lower")
        >>> [row["test_loss"] for row in counted(record, loss, "averaged").evaluations]
        [2.5, 2.1, 2.0]
        >>> [row["test_loss"] for row in counted(record, loss, "better").evaluations]
        [2.5, 2.1, 1.9]
    """
    averaged, choose = column_of_average(metric.name), _CHOICES[evaluate]
    if averaged is None:
        return record
    rows = (
        {**row, metric.name: choose(row, metric, averaged)} if _has(row, averaged) else row
        for row in record.evaluations
    )
    return dataclasses.replace(record, evaluations=tuple(rows))


def which_counts(records: Sequence[Record], metric: Metric, evaluate: Evaluate) -> str:
    """Says which weights count, as part of a sentence; "" if no run has an average."""
    return _WORDS[evaluate] if any(has_average(record, metric) for record in records) else ""


def compare_by_average(records: Sequence[Record], metric: Metric) -> list[Comparison]:
    """Compares the final values of averaged weights with those of the raw weights of the same runs.

    The pairs are runs at their last evaluation of an average, so that seeds, data and updates are
    the same. See `compare_final` for the estimates and tests; Holm's correction is over all
    experiments that have an average.

    Args:
        records: the runs of a study, as they were recorded. Those without an average are left out.
        metric: the study's metric, under the name of its column.

    Returns:
        One comparison for each experiment that has an average, averaged − raw.
    """
    averaged, pairs = column_of_average(metric.name), []
    for number, record in enumerate(r for r in records if has_average(r, metric)):
        rows = tuple(row for row in record.evaluations if _has(row, averaged))
        record = dataclasses.replace(record, evaluations=rows)
        # A pair has a number of its own in place of the seed, which other experiments have too.
        # The baseline's name is no experiment's.
        sides: tuple[tuple[str, Evaluate], ...] = (("", "raw"), (record.name, "averaged"))
        for name, weights in sides:
            view = counted(record, metric, weights)
            header = {**record.header, "name": name, "seed": number}
            pairs.append(dataclasses.replace(view, header=header))
    return [
        dataclasses.replace(found, baseline=f"raw weights of {found.name}")
        for found in compare_final(pairs, "", metric.name)
    ]


def _has(row: Mapping[str, Any], column: str | None) -> bool:
    return column is not None and row.get(column) is not None
