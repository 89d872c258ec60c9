"""The points of curves, and which curves lie on each other."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from jaxsched.bench.report.curves import TIME_AXES, Curve, Value, curve_of
from jaxsched.bench.report.page.charts.end_labels import End
from jaxsched.bench.report.page.charts.thinning import corners
from jaxsched.bench.report.page.charts.ticks import Ticks, drawable
from jaxsched.bench.report.results import Results
from jaxsched.bench.values import value_of
from jaxsched.tracking.records import Record

ChartRows: TypeAlias = list[dict[str, Any]]

# No screen shows more points, and the page stays small however many evaluations and curves exist.
_MOST_POINTS, _MOST_ROWS = 250, 2500
_QUARTILES = ("low", "median", "high")
# Of the height: as wide as a line.
_LINE_WIDTH = 0.008


def most_points(results: Results) -> int:
    """Returns how many points a curve has at most, so that all of them fit into a small page."""
    return min(_MOST_POINTS, max(8, _MOST_ROWS // len(results.manifest.names)))


def column(name: str) -> Value:
    """Returns a function that reads this column from a row; None if it cannot be drawn."""

    def read(row: Mapping[str, Any]) -> float | None:
        return drawable(value_of(row, name))

    return read


def curve_rows(
    results: Results, value_of_run: Callable[[Record], Value], **fields: Any
) -> ChartRows:
    """Makes the rows of a quantity's curves: one for each experiment and evaluation.

    Where a run has a number that cannot be drawn, the curve has a gap, which is a row of None.

    Args:
        results: the study's results.
        value_of_run: returns, for a run, the function that reads the quantity from a row.
        **fields: more fields of every row.
    """
    rows, most = [], most_points(results)
    for name in results.manifest.names:
        runs = results.runs_of(name)
        value = value_of_run(runs[0]) if runs else None
        curve = curve_of(runs, value) if value else None
        if curve is not None and value is not None:
            found = [*_points(curve, most), *_gaps(runs, value)]
            rows += [
                {"experiment": name, **fields, **row} for row in _marked_alone(_in_order(found))
            ]
    return rows


def _points(curve: Curve, most: int) -> Iterator[dict[str, Any]]:
    """The curve's points, thinned out to about so many."""
    indices: Iterable[int] = range(len(curve.median))
    if len(curve.median) > most:
        steps = np.array(curve.times["step"])
        indices = corners(steps, np.array(curve.median), most).tolist()
    for index in indices:
        yield {
            **{axis: times[index] for axis, times in curve.times.items()},
            **{name: getattr(curve, name)[index] for name in _QUARTILES},
            "n": curve.n,
        }


def _gaps(runs: Sequence[Record], value: Value) -> Iterator[dict[str, Any]]:
    """The times at which a run has a number that cannot be drawn."""
    for rows in zip(*(run.evaluations for run in runs if run.evaluations), strict=False):
        if any(value(row) is None for row in rows):
            axes = [axis for axis in TIME_AXES if all(axis in row for row in rows)]
            times = {axis: statistics.median(row[axis] for row in rows) for axis in axes}
            yield {**times, "low": None, "median": None, "high": None, "n": len(rows)}


def _in_order(rows: ChartRows) -> ChartRows:
    """The rows by time, without those at times that cannot be drawn, nor gaps at the ends."""
    axes = [axis for axis in TIME_AXES if axis in rows[0]]
    drawn = [row for row in rows if all(drawable(row[axis]) is not None for axis in axes)]
    drawn.sort(key=lambda row: row["step"])
    known = [index for index, row in enumerate(drawn) if row["median"] is not None]
    return drawn[known[0] : known[-1] + 1] if known else []


def _marked_alone(rows: ChartRows) -> ChartRows:
    """Marks the points that no line reaches, which need a dot to be seen."""
    medians = [None, *(row["median"] for row in rows), None]
    return [
        {**row, "alone": True} if medians[index] is None and medians[index + 2] is None else row
        for index, row in enumerate(rows)
    ]


def near(rows: ChartRows, ticks: Ticks) -> ChartRows:
    """Returns the rows with values that are near the axis; see `Ticks.near`."""
    return [{**row, **{name: ticks.near(row[name]) for name in _QUARTILES}} for row in rows]


def ends_of(rows: ChartRows) -> list[End]:
    """Returns the end of each curve."""
    ends = {_key(row): row for row in rows if row["median"] is not None}
    kinds: dict[str, int] = {}
    for name, _ in ends:
        kinds[name] = kinds.get(name, 0) + 1
    return [
        End(
            name,
            f"{name}, {weights}" if kinds[name] > 1 else name,
            row["median"],
            {axis: row[axis] for axis in TIME_AXES if axis in row},
        )
        for (name, weights), row in ends.items()
    ]


def flat_values(rows: ChartRows) -> dict[str, float] | None:
    """Returns the value of each experiment whose curves are all flat; None if any is not."""
    found: dict[str, float] = {}
    for row in rows:
        for value in (row["low"], row["median"], row["high"]):
            known = found.setdefault(row["experiment"], value)
            if value is None or not math.isclose(value, known, rel_tol=1e-6):
                return None
    return found


def together(rows: ChartRows, ticks: Ticks) -> list[list[str]]:
    """Returns the groups of experiments whose curves are the same to the width of a line.

    Args:
        rows: the rows of one curve for each experiment.
        ticks: the vertical axis.
    """
    curves = {
        name: np.array([[row["step"], ticks.place(row["median"])] for row in of]).T
        for name, of in _by_experiment(rows).items()
        if all(row["median"] is not None for row in of)
    }
    groups: list[list[str]] = []
    for name, curve in curves.items():
        group = next((g for g in groups if _is_same(curves[g[0]], curve)), None)
        if group is None:
            groups.append(group := [])
        group.append(name)
    return [group for group in groups if len(group) > 1]


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two curves, f64[2, points], end together and never differ by a line's width."""
    if one[0, -1] != other[0, -1] or one.shape[1] == 1 or other.shape[1] == 1:
        return False
    x = np.union1d(one[0], other[0])
    middles = (x[:-1] + x[1:]) / 2  # where a jump has a single value
    middles = middles[middles >= max(one[0, 0], other[0, 0])]
    apart = np.interp(middles, *one) - np.interp(middles, *other)
    return bool(np.all(np.abs(apart) <= _LINE_WIDTH))


def _by_experiment(rows: ChartRows) -> dict[str, ChartRows]:
    found: dict[str, ChartRows] = {}
    for row in rows:
        found.setdefault(row["experiment"], []).append(row)
    return found


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["experiment"], row.get("weights", "")
