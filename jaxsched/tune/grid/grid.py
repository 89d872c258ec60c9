"""A grid: short runs of an experiment at each of some values, alone or crossed."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxsched.experiment import Experiment
from jaxsched.experiment.overrides import with_value
from jaxsched.experiment.validation import held_out
from jaxsched.text import text_of
from jaxsched.tune.grid.bisection import bisect

# So that a curve shows how the loss falls, and equal times can be found within a run.
_FEWEST_EVALUATIONS = 4


class Cell(NamedTuple):
    """One place of a grid."""

    values: Mapping[str, Any]  # by the name of their axis
    experiment: Experiment


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Short runs at each of some values, alone or crossed, judged by their early validation loss.

    The experiment's phases are shortened in proportion, and times of its schedules in per cent with
    them; times in epochs stay. It is evaluated at least four times, on a tenth of its training
    images where the source can hold them out (see `held_out`).

    With `from_snapshot` all members of a seed go on from one state: one run with the middle value
    of each axis trains for so many epochs (up to the next evaluation), and from there each member
    for `epochs` more; schedules stretch over both. The author takes the snapshot where the loss has
    stopped to fall fast, or half-way.

    Attributes:
        experiment: what is tuned.
        axes: values by name, see `with_value`; several axes are crossed.
        epochs: how long each member trains on its own.
        seeds: one run each.
        from_snapshot: epochs before the members part; None starts each from its first weights.
        refine: how many times values between the best and its neighbours are added, see `bisect`.

    Raises:
        ValueError: when there are no values, values or seeds repeat, a number is out of its range,
            or the experiment has no such field.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.4 and figure 12.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Digits
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tune import Grid
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     model=R9,
        ...     data=Digits(),
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
        if not self.axes or not all(self.axes.values()):
            raise ValueError(
                f"Grid needs at least one value of each axis, got {dict(self.axes)}; give values, "
                "such as weight_decay=(1e-5, 1e-4, 1e-3)."
            )
        for name, values in {**self.axes, "seeds": self.seeds}.items():
            if not values or len(set(values)) < len(values):
                raise ValueError(f"Grid needs different {name}, at least one, got {values}.")
        if not self.epochs > 0 or self.refine < 0:
            raise ValueError(
                "Grid needs epochs above 0 and refine of at least 0, got "
                f"epochs={self.epochs}, refine={self.refine}."
            )
        self._check_snapshot()
        self.cells()  # refuses a field that there is not

    def _check_snapshot(self) -> None:
        if self.from_snapshot is None:
            return
        if not self.from_snapshot > 0:
            raise ValueError(
                f"Grid needs from_snapshot above 0 epochs, or None, got {self.from_snapshot}."
            )
        if self.compares_time:
            raise ValueError(
                "a snapshot has taken its updates at one batch size, and batch sizes are compared "
                "over a whole run, got an axis batch_size; leave from_snapshot out."
            )

    @property
    def compares_time(self) -> bool:
        """Whether the members' updates differ in time, so that each has to run by itself."""
        return any(name.split(".")[-1] == "batch_size" for name in self.axes)

    @property
    def short(self) -> Experiment:
        """The short run that the values are set on."""
        total = self.epochs + (self.from_snapshot or 0.0)
        factor = total / sum(phase.epochs for phase in self.experiment.phases)
        phases = tuple(
            dataclasses.replace(phase, epochs=phase.epochs * factor)
            for phase in self.experiment.phases
        )
        every = min(self.experiment.evaluate_every, self.epochs / _FEWEST_EVALUATIONS)
        changes = {"phases": phases, "evaluate_every": every, "weight_norms": False}
        return dataclasses.replace(held_out(self.experiment), **changes)

    def cells(self) -> list[Cell]:
        """One for each combination of values, the last axis fastest."""
        names = list(self.axes)
        combinations = itertools.product(*self.axes.values())
        return [self.cell(dict(zip(names, values, strict=True))) for values in combinations]

    def cell(self, values: Mapping[str, Any]) -> Cell:
        """The short run with these values, named after them."""
        experiment = self.short
        for name, value in values.items():
            experiment = with_value(experiment, name, value)
        parts = (f"{name}{text_of(value)}" for name, value in values.items())
        name = "_".join((self.experiment.name, *parts))
        return Cell(values, dataclasses.replace(experiment, name=name))

    def middle(self) -> Cell:
        """That of the middle value of each axis, of two the larger: what a snapshot is of."""

        def middle(values: tuple[Any, ...]) -> Any:
            are_numbers = all(isinstance(value, int | float) for value in values)
            ordered = sorted(values) if are_numbers else values
            return ordered[len(ordered) // 2]

        return self.cell({name: middle(values) for name, values in self.axes.items()})

    def refined(self, cells: Iterable[Cell], best: Cell) -> list[Cell]:
        """The cells between the best one and its neighbours, along each axis through it.

        Args:
            cells: made so far.
            best: of these.
        """
        others = list(cells)
        found = []
        for name, value in best.values.items():
            line = {
                cell.values[name]
                for cell in others
                if all(cell.values[n] == v for n, v in best.values.items() if n != name)
            }
            found += [self.cell({**best.values, name: new}) for new in bisect(name, [*line], value)]
        return found
