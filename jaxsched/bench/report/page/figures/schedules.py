"""The figures of the hyper-parameters as they were in force, at every update."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from jaxsched.batch_size.noise_scale import noise_scale
from jaxsched.bench.report.curves import TIME_AXES
from jaxsched.bench.report.page.charts.labelled import curve_chart
from jaxsched.bench.report.page.charts.rows import (
    ChartRows,
    column,
    curve_rows,
    most_points,
)
from jaxsched.bench.report.page.charts.thinning import corners, steps_of
from jaxsched.bench.report.page.charts.ticks import linear_ticks, log_ticks
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.report.page.figures.figure import Figure, flat_text, named, overlap_text
from jaxsched.bench.report.page.in_force import InForce, in_force
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis
from jaxsched.tracking.records import Record

_HEIGHT = 190
_NOISE_SCALE = "noise_scale"
_TITLES: Mapping[str, str] = {
    "learning_rate": "Learning rate",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "batch_size": "Batch size",
    _NOISE_SCALE: "Noise scale g",
}
# What is known of an experiment's runs, by its name; None if that of any run is not.
_Known: TypeAlias = Mapping[str, Sequence[InForce] | None]


def schedule_figures(results: Results, units: TimeUnits) -> list[Figure]:
    """Makes a figure of each hyper-parameter as it was in force, and of SGD's noise scale g.

    Every update is drawn with the value that it used, over seeds as a median with a band. Of an
    experiment whose values cannot be computed, those at evaluations are drawn, each back to the
    evaluation before; the caption says so. One that never changes has a sentence for a chart.
    """
    known = {name: _known(results.runs_of(name)) for name in results.manifest.names}
    figures = (_figure(results, units, known, name) for name in _TITLES)
    return [figure for figure in figures if figure is not None]


def _known(runs: Sequence[Record]) -> Sequence[InForce] | None:
    found = [in_force(run) for run in runs if run.evaluations]
    known = [of for of in found if of is not None]
    return known if known and len(known) == len(found) else None


def _figure(results: Results, units: TimeUnits, known: _Known, name: str) -> Figure | None:
    rows, recorded = _rows(results, known, name)
    title = _TITLES[name]
    if not rows:
        return None
    if flat := flat_text(rows):
        return Figure(title, flat, None)
    drawn = [row["median"] for row in rows if row["median"] is not None]
    # The noise scale falls by orders of magnitude.
    ticks = log_ticks(drawn) if name == _NOISE_SCALE else linear_ticks(drawn)
    text = overlap_text(rows, ticks)
    if recorded:
        text += f" Only its values at evaluations are known of {named(recorded)}."
    names = results.manifest.names
    return Figure(title, text.strip(), curve_chart(rows, names, ticks, _HEIGHT, units))


def _rows(results: Results, known: _Known, name: str) -> tuple[ChartRows, list[str]]:
    """The corners of all curves, and the experiments of which only evaluations are known."""
    rows, recorded = [], []
    at_evaluations = curve_rows(results, lambda run: column(name))
    for experiment in results.manifest.names:
        runs = known[experiment]
        values = None if runs is None else _values(runs, name)
        if runs is not None and values is not None:
            found = list(_corners(values, runs, most_points(results), is_log=name == _NOISE_SCALE))
        else:
            found = _held([row for row in at_evaluations if row["experiment"] == experiment])
            recorded += [experiment] if found else []
        rows += [{**row, "experiment": experiment} for row in found]
    return rows, recorded


def _values(runs: Sequence[InForce], name: str) -> np.ndarray | None:
    """The values of every update of each run, up to the end of the shortest, f64[runs, updates]."""
    found = [_noise_scales(run) if name == _NOISE_SCALE else run.values.get(name) for run in runs]
    values = [of for of in found if of is not None]
    if len(values) < len(runs):
        return None
    shortest = min(map(len, values))
    return np.stack([of[:shortest] for of in values])


def _noise_scales(run: InForce) -> np.ndarray | None:
    """The noise scale g of every update; None for optimizers other than SGD.

    A momentum of 1 makes it infinite, and a learning rate of 0 or a full batch make it 0, which a
    logarithmic axis cannot show: there it is NaN.
    """
    if not run.is_sgd or not run.values.keys() >= {"learning_rate", "momentum", "batch_size"}:
        return None
    lr, momentum, size = (run.values[n] for n in ("learning_rate", "momentum", "batch_size"))
    can_show = (momentum < 1) & (lr > 0) & (size < run.num_examples)
    g = noise_scale(lr, size, run.num_examples, np.where(can_show, momentum, 0.0))
    return np.where(can_show, np.asarray(g, float), np.nan)


def _corners(
    values: np.ndarray, runs: Sequence[InForce], most: int, *, is_log: bool
) -> Iterator[dict[str, Any]]:
    """The corners of the quartiles over runs, with a row of None where there are none."""
    quartiles = np.quantile(np.log10(values) if is_log else values, (0.25, 0.5, 0.75), axis=0)
    shared: list[TimeAxis] = [a for a in TIME_AXES if all(a in run.times for run in runs)]
    length = quartiles.shape[1] + 1
    times = {a: np.median([run.times[a][:length] for run in runs], axis=0) for a in shared}
    for start, stop in _known_stretches(quartiles):
        at, of = steps_of(quartiles[:, start:stop])
        kept = functools.reduce(np.union1d, [corners(at, quartile, most) for quartile in of])
        of = 10**of if is_log else of
        for index in kept.tolist():
            low, median, high = of[:, index].tolist()
            now = {axis: float(of_axis[start + at[index]]) for axis, of_axis in times.items()}
            yield {**now, "low": low, "median": median, "high": high, "n": len(runs)}
        if stop < length - 1:
            now = {axis: float(of_axis[stop]) for axis, of_axis in times.items()}
            yield {**now, "low": None, "median": None, "high": None, "n": len(runs)}


def _known_stretches(quartiles: np.ndarray) -> list[tuple[int, int]]:
    """The stretches of updates of which all quartiles are finite, each without its end."""
    is_known = np.isfinite(quartiles).all(axis=0).astype(int)
    edges = np.flatnonzero(np.diff(is_known, prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _held(rows: ChartRows) -> ChartRows:
    """The rows of evaluations as steps: each value reaches back to the evaluation before."""
    found: ChartRows = []
    before = {axis: 0 for axis in TIME_AXES}
    for row in rows:
        now = {axis: row[axis] for axis in TIME_AXES if axis in row}
        found += [{**row, **{axis: before[axis] for axis in now}}, row]
        before.update(now)
    return found
