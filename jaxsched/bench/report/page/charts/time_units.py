"""The unit in which each axis of time is read, by how long the runs are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from jaxsched.bench.report.curves import TIME_AXES
from jaxsched.bench.report.page.charts.ticks import drawable
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import TimeAxis


class _Unit(NamedTuple):
    size: float  # in updates, examples, epochs or seconds
    words: str


@dataclass(frozen=True)
class TimeUnits:
    """The units of the axes of time that a study's records have.

    Attributes:
        units: the unit of each axis.
    """

    units: Mapping[TimeAxis, _Unit]

    @classmethod
    def of(cls, results: Results) -> "TimeUnits":
        """Chooses units in which the longest run is a number of few digits."""
        lasts = [record.evaluations[-1] for record in results.records if record.evaluations]
        axes = results.time_axes or ("step",)
        return cls(
            {
                axis: _unit(axis, max((drawable(row[axis]) or 0.0 for row in lasts), default=0.0))
                for axis in axes
            }
        )

    @property
    def time(self) -> str:
        """Vega's expression for the time of a row, in the unit of the chosen axis."""
        sizes = {axis: unit.size for axis, unit in self.units.items()}
        return f"datum[time_axis] / {sizes}[time_axis]"

    @property
    def words(self) -> str:
        """Vega's expression for the name of the chosen axis with its unit."""
        return f"{self.labels}[time_axis]"

    @property
    def labels(self) -> dict[TimeAxis, str]:
        """The name of each axis with its unit."""
        return {axis: unit.words for axis, unit in self.units.items()}


def _unit(axis: TimeAxis, longest: float) -> _Unit:
    """The unit of an axis, such as thousands of updates."""
    words = TIME_AXES[axis]
    if axis == "train_seconds":
        if longest < 300:
            return _Unit(1, words)
        return (
            _Unit(60, "training minutes") if longest < 3 * 3600 else _Unit(3600, "training hours")
        )
    for size, name in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if longest >= 20 * size:
            return _Unit(size, f"{name} {words}")
    return _Unit(1, words)
