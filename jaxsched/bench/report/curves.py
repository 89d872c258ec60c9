"""What the runs of an experiment say over time: the median over seeds, and its middle half.

Knows no JAX.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, get_args

import numpy as np

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis
from jaxsched.tracking.records import Record

# By name, in words.
TIME_AXES: Mapping[TimeAxis, str] = {
    "step": "updates",
    "examples": "examples",
    "epoch": "epochs",
    "train_seconds": "training seconds",
}
assert set(TIME_AXES) == set(get_args(TimeAxis))

Value: TypeAlias = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class Curve:
    """A quantity of an experiment at its evaluations, over seeds.

    Attributes:
        n: number of runs.
        times: by clock, the median over seeds; one at each evaluation.
        low: the lower quartile over seeds, likewise.
        median: likewise.
        high: the upper quartile, likewise.
    """

    n: int
    times: Mapping[TimeAxis, tuple[float, ...]]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]


def curve_of(records: Sequence[Record], value: Value) -> Curve | None:
    """A quantity of the runs of one experiment; None where no evaluation has it in all of them.

    It ends where the first of the runs ends, be it by diverging: after that it would tell of those
    alone that were lucky.

    Args:
        records: of the runs.
        value: what a row says of the quantity; None where it says nothing.

    Example:
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.bench.report.curves import curve_of
        >>> def run(*accuracies):
        ...     rows = [
        ...         {"step": 10 * n, "examples": 0, "epoch": n, "train_seconds": n, "accuracy": a}
        ...         for n, a in enumerate(accuracies, start=1)
        ...     ]
        ...     return Record({}, tuple(rows), {})
        >>> curve = curve_of([run(0.5, 0.7), run(0.6, 0.8), run(0.7)], lambda row: row["accuracy"])
        >>> curve.times["step"], curve.median
        ((10.0,), (0.6,))
    """
    runs = [record.evaluations for record in records if record.evaluations]
    marks = [
        mark
        for mark in zip(*runs, strict=False)  # to the end of the shortest
        if all(value(row) is not None for row in mark)
    ]
    if not marks:
        return None
    low, median, high = _quartiles([[value(row) for row in mark] for mark in marks])
    times: dict[TimeAxis, tuple[float, ...]] = {
        clock: _quartiles([[row[clock] for row in mark] for mark in marks])[1]
        for clock in TIME_AXES
    }
    return Curve(len(runs), times, low, median, high)


def _quartiles(values: Sequence[Sequence[Any]]) -> list[tuple[float, ...]]:
    """Of each row."""
    quartiles = np.quantile(np.array(values, np.float64), (0.25, 0.5, 0.75), axis=1)
    return [tuple(of.tolist()) for of in quartiles]


def lowest_accuracy(results: Results) -> float:
    """Of the target and of each experiment's medians after their first quarter.

    An axis begins here: that quarter comes from chance, and would flatten all the rest.
    """
    lowest = results.target.accuracy
    for name in results.manifest.names:
        curve = curve_of(results.runs_of(name), column("test_accuracy"))
        if curve is not None:
            lowest = min(lowest, *curve.median[len(curve.median) // 4 :])
    return lowest


def column(name: str) -> Value:
    """The value of a row's column."""
    return lambda row: cast("float | None", row.get(name))
