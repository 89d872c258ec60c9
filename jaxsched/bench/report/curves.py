"""A quantity of an experiment over time: its median over seeds, and their middle half.

Imports no JAX.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import numpy as np

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis
from jaxsched.bench.values import value_of
from jaxsched.tracking.records import Record

# The axes of time and their labels.
TIME_AXES: Mapping[TimeAxis, str] = {
    "step": "updates",
    "examples": "examples",
    "epoch": "epochs",
    "train_seconds": "training seconds",
}
assert set(TIME_AXES) == set(get_args(TimeAxis))

# Reads a quantity from an evaluation's row; None if the row does not have it.
Value: TypeAlias = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class Curve:
    """A quantity of an experiment at its evaluations, over seeds.

    Attributes:
        n: the number of runs.
        times: by axis of time, as far as it was recorded, the median time over seeds at each
            evaluation.
        low: the lower quartile over seeds at each evaluation.
        median: the median over seeds at each evaluation.
        high: the upper quartile over seeds at each evaluation.
    """

    n: int
    times: Mapping[TimeAxis, tuple[float, ...]]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]


def curve_of(records: Sequence[Record], value: Value) -> Curve | None:
    """Computes the curve of a quantity; None if no evaluation has it in all runs.

    The curve ends where the first of the runs ends, even by diverging: beyond, it would show only
    the seeds that were lucky. A run without any evaluation is left out.

    Args:
        records: the runs of one experiment.
        value: reads the quantity from a row; None if the row does not have it.

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
        rows
        for rows in zip(*runs, strict=False)  # up to the end of the shortest run
        if all(value(row) is not None for row in rows)
    ]
    if not marks:
        return None
    low, median, high = _quartiles([[value(row) for row in rows] for rows in marks])
    times: dict[TimeAxis, tuple[float, ...]] = {
        time_axis: _quartiles([[row[time_axis] for row in rows] for rows in marks])[1]
        for time_axis in TIME_AXES
        if all(time_axis in row for rows in marks for row in rows)
    }
    return Curve(len(runs), times, low, median, high)


def _quartiles(values: Sequence[Sequence[Any]]) -> list[tuple[float, ...]]:
    """The three quartiles of each row of values."""
    quartiles = np.quantile(np.array(values, np.float64), (0.25, 0.5, 0.75), axis=1)
    return [tuple(quartile.tolist()) for quartile in quartiles]


def worst_shown(results: Results) -> float:
    """Returns the value at which a plot of the study's metric should begin, at its worse end.

    It is the worst of the target and of each experiment's medians after the first quarter of its
    evaluations, or at least after the first one. They start at chance level and would flatten all
    the rest.
    """
    worst = min if results.metric.better == "higher" else max
    value = column(results.metric.name)
    curves = [curve_of(results.runs_of(name), value) for name in results.manifest.names]
    medians = [curve.median for curve in curves if curve is not None]
    later = [values[max(1, len(values) // 4) :] for values in medians]
    # Unless no experiment has a second evaluation.
    shown = later if any(later) else medians
    return worst([results.target.value, *(v for values in shown for v in values)])


def column(name: str) -> Value:
    """Returns a function that reads this column from a row; None if it is not a finite number."""
    return functools.partial(value_of, column=name)
