"""A grid: short runs of an experiment at several values of one or more hyper-parameters."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxsched.experiment import Experiment, held_out, with_value
from jaxsched.experiment.seeds import require_seeds
from jaxsched.field_types import check_field_types
from jaxsched.text import text_of
from jaxsched.tune.grid.bisection import bisect

# Enough to see how the loss falls, and to compare runs at equal times.
_FEWEST_EVALUATIONS = 4


class Cell(NamedTuple):
    """One combination of values in a grid."""

    values: Mapping[str, Any]  # by the name of their axis
    experiment: Experiment


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Short runs at several values, alone or crossed, ranked by their early validation loss.

    The experiment's phases are shortened in proportion. Times of its schedules in per cent shrink
    with them, times in epochs do not. Each run is evaluated at least four times, on a tenth of the
    training images if the source can hold them out (see `held_out`).

    With `from_snapshot`, all runs of a seed start from one state: a run with the middle value of
    each axis trains for `from_snapshot` epochs (up to the next evaluation), and from there each run
    trains for `epochs` more. The schedules stretch over both parts. Smith takes the snapshot where
    the loss has stopped falling fast, or half-way.

    Attributes:
        experiment: the experiment to tune.
        axes: the values to try by name, see `with_value`; several axes are crossed.
        epochs: how many epochs each run trains on its own.
        seeds: one run of each cell for each seed.
        from_snapshot: epochs that the runs of a seed share; None starts each from its initial
            weights.
        refine: how many times to add values between the best one and its neighbours, see `bisect`.

    Raises:
        ValueError: when there are no values, values or seeds repeat, a number is out of its range,
            or the experiment has no field of an axis' name.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.4 and figure 12.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Digits
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tasks import ImageClassification
        >>> from jaxsched.tune import Grid
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     task=ImageClassification(model=R9, data=Digits()),
        ...     phases=(js.Phase(epochs=10, batch_size=50),),
        ...     optimizer=js.SGD(js.OneCycle(0.5, duration="100%"), momentum=0.9),
        ... )
        >>> axes = {"weight_decay": (1e-5, 1e-4), "momentum": (0.9,)}
        >>> grid = Grid(experiment=experiment, axes=axes, epochs=2.0)
        >>> [cell.experiment.name for cell in grid.cells()]
        ['cycle_weight_decay1e-5_momentum0.9', 'cycle_weight_decay1e-4_momentum0.9']
    """

    experiment: Experiment
    axes: Mapping[str, tuple[Any, ...]]
    epochs: float = 2.0
    seeds: tuple[int, ...] = (0,)
    from_snapshot: float | None = None
    refine: int = 0

    def __post_init__(self):
        check_field_types(self)
        if not self.axes or not all(self.axes.values()):
            raise ValueError(
                f"Grid needs at least one value of each axis, got {dict(self.axes)}; give values, "
                "such as weight_decay=(1e-5, 1e-4, 1e-3)."
            )
        require_seeds("Grid", self.seeds)
        for name, values in self.axes.items():
            if len(set(values)) < len(values):
                raise ValueError(f"Grid needs different {name}, at least one, got {values}.")
        if not self.epochs > 0 or self.refine < 0:
            raise ValueError(
                "Grid needs epochs above 0 and refine of at least 0, got "
                f"epochs={self.epochs}, refine={self.refine}."
            )
        self._check_snapshot()
        self.cells()  # raises if the experiment has no field of an axis' name

    def _check_snapshot(self) -> None:
        if self.from_snapshot is None:
            return
        if not self.from_snapshot > 0:
            raise ValueError(
                f"Grid needs from_snapshot above 0 epochs, or None, got {self.from_snapshot}."
            )
        if self.compares_time:
            raise ValueError(
                "a snapshot's updates have one batch size, but batch sizes are compared over whole "
                "runs, got an axis batch_size; leave from_snapshot out."
            )

    @property
    def compares_time(self) -> bool:
        """Whether batch sizes are compared at equal time, so that each run has to be alone."""
        return self.batch_sizes(self.axes) != ()

    def batch_sizes(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Returns those of the values that are batch sizes, which decide how long a run takes."""
        return tuple(v for name, v in values.items() if name.split(".")[-1] == "batch_size")

    @property
    def short(self) -> Experiment:
        """The short experiment that the values are set on."""
        return self._shortened(self.epochs)

    def _shortened(self, own_epochs: float) -> Experiment:
        epochs = own_epochs + (self.from_snapshot or 0.0)
        factor = epochs / sum(phase.epochs for phase in self.experiment.phases)
        phases = tuple(
            dataclasses.replace(phase, epochs=phase.epochs * factor)
            for phase in self.experiment.phases
        )
        every = min(self.experiment.evaluate_every, own_epochs / _FEWEST_EVALUATIONS)
        changes = {"phases": phases, "evaluate_every": every, "weight_norms": False}
        return dataclasses.replace(held_out(self.experiment), **changes)

    def cells(self) -> list[Cell]:
        """Returns one cell for each combination of values; the last axis varies fastest."""
        names = list(self.axes)
        combinations = itertools.product(*self.axes.values())
        return [self.cell(dict(zip(names, values, strict=True))) for values in combinations]

    def cell(self, values: Mapping[str, Any], epochs: float | None = None) -> Cell:
        """Returns the short experiment with these values, named after them.

        Args:
            values: the values by the name of their axis.
            epochs: how many epochs it trains, by default those of the grid.
        """
        experiment = self.short if epochs is None else self._shortened(epochs)
        for name, value in values.items():
            experiment = with_value(experiment, name, value)
        parts = (f"{name}{text_of(value)}" for name, value in values.items())
        name = "_".join((self.experiment.name, *parts))
        return Cell(values, dataclasses.replace(experiment, name=name))

    def middle(self) -> Cell:
        """Returns the cell of each axis' middle value, or the larger of two, for the snapshot."""

        def middle(values: tuple[Any, ...]) -> Any:
            are_numbers = all(isinstance(value, int | float) for value in values)
            ordered = sorted(values) if are_numbers else values
            return ordered[len(ordered) // 2]

        return self.cell({name: middle(values) for name, values in self.axes.items()})

    def refined(self, cells: Iterable[Cell], best: Cell) -> list[Cell]:
        """Returns the cells between the best one and its neighbours on each axis through it.

        Args:
            cells: the cells so far.
            best: the best of them.
        """
        known = list(cells)
        added = []
        for name, value in best.values.items():
            line = {
                cell.values[name]
                for cell in known
                if all(cell.values[n] == v for n, v in best.values.items() if n != name)
            }
            added += [self.cell({**best.values, name: new}) for new in bisect(name, [*line], value)]
        return added
