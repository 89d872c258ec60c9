"""From an experiment to a 1cycle recipe: a range test, then weight decays, then momenta."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxsched.experiment import Experiment, lr_name
from jaxsched.experiment.overrides import with_value
from jaxsched.experiment.to_source import source_of
from jaxsched.lr_finder.suggest import MAXIMUM_RULE, MINIMUM_SHARE, suggest
from jaxsched.plan import Phase
from jaxsched.schedules import OneCycle, Schedule
from jaxsched.tracking import Progress, load
from jaxsched.tune.execution.strategy import StrategyChoice
from jaxsched.tune.grid.grid import Grid
from jaxsched.tune.grid.ranking import Ranking, Result, rank_cells
from jaxsched.tune.grid.report import write_grid_report
from jaxsched.tune.grid.runs import GridRuns
from jaxsched.tune.range_test.range_test import RangeTest, RangeTestRuns
from jaxsched.tune.range_test.report import write_range_report
from jaxsched.tune.recipe.config_writer import Reason
from jaxsched.tune.recipe.overfitting import fit_diagnosis

# Of the experiment's epochs, what a short run takes.
_SHORT = 0.2
_HIGH, _LOW = 0.95, 0.85
_MOMENTUM = "optimizer.momentum.high"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe tries, step by step; each step goes on with what the one before has found.

        1. a range test of the learning rate, whose `Suggestions.maximum` is the cycle's
        2. short 1cycle runs at each weight decay, refined by bisecting the exponent
        3. short 1cycle runs at each highest momentum, which falls to 0.85 where the rate peaks

    Attributes:
        experiment: whose network, data, batch size and epochs are taken as they are. Its schedules
            and all in its optimizer that has a memory make way for the cycle.
        test: the range test; its seeds are those of the short runs as well.
        weight_decays: to try; none leaves the experiment's.
        momenta: the highest values to try, of 0.85 at least; none leaves 0.95.
        epochs: of a short run; by default a fifth of the experiment's, and at least one.
        refine: how many times weight decays between the best and its neighbours are added.

    Raises:
        ValueError: when the experiment cannot be written as a config, or a number is out of range.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        sections 4.1 to 4.4; the range test reads its rate off by a rule of ours.
    """

    experiment: Experiment
    test: RangeTest = RangeTest()
    weight_decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 0.0)
    momenta: tuple[float, ...] = (0.9, 0.95, 0.99)
    epochs: float | None = None
    refine: int = 1

    def __post_init__(self):
        if not all(_LOW <= momentum < 1 for momentum in self.momenta):
            raise ValueError(
                f"Recipe needs momenta within [{_LOW}, 1), the highest values of a cycle that "
                f"falls to {_LOW}, got {self.momenta}."
            )
        source_of(self.one_cycle(1.0))  # refuses it now, not after all the runs

    def one_cycle(self, maximum: float) -> Experiment:
        """The experiment by 1cycle, with its own weight decay where that is constant.

        Args:
            maximum: of the learning rate.

        Raises:
            ValueError: when the optimizer has no learning rate that is known.
        """
        given = self.experiment
        bare = dataclasses.replace(
            given.optimizer, noise=None, abel=None, plateau=None, averaging=None
        )
        cycle = OneCycle(maximum, duration="100%", div_factor=1 / MINIMUM_SHARE)
        changed: dict[str, Schedule] = {lr_name(bare): cycle}
        if "momentum" in bare.schedules():
            changed["momentum"] = cycle.momentum(_HIGH, _LOW)
        epochs = sum(phase.epochs for phase in given.phases)
        return dataclasses.replace(
            given,
            name=f"{given.name}_one_cycle",
            phases=(Phase(epochs, given.phases[0].batch_size),),
            optimizer=bare.with_schedules(changed),
            batch_growth=None,
        )

    def grid(self, experiment: Experiment, name: str, values: tuple[float, ...]) -> Grid:
        """Short runs at these values."""
        epochs = experiment.phases[0].epochs
        short = self.epochs or min(epochs, max(1.0, _SHORT * epochs))
        refine = self.refine if name == "weight_decay" else 0
        return Grid(
            experiment=experiment,
            axes={name: values},
            epochs=short,
            seeds=self.test.seeds,
            refine=refine,
        )


class RecipeRuns:
    """The runs of a recipe. What is on record is not made again.

    Args:
        recipe: what to try.
        folder: takes a folder for each step.
        source_text: of the config file.
        progress: what shows how far it is.
        choice: how many runs are made at once, see `prepare`.
        check: is called about once a second; what it raises ends the runs.

    Attributes:
        reasons: of the steps done.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        source_text: str,
        progress: Progress,
        choice: StrategyChoice = "auto",
        check: Callable[[], None] = lambda: None,
    ):
        self.recipe, self.reasons = recipe, list[Reason]()
        self._folder, self._source_text = folder, source_text
        self._progress: Progress = progress
        self._choice: StrategyChoice = choice
        self._check = check

    def find(self) -> Experiment:
        """The experiment with what was found.

        Raises:
            ValueError: when the range test suggests no rate, or every short run diverges.
        """
        experiment = self.recipe.one_cycle(self._maximum())
        schedules = experiment.optimizer.schedules()
        if self.recipe.weight_decays and "weight_decay" in schedules:
            experiment = self._weight_decay(experiment)
        if self.recipe.momenta and "momentum" in schedules:
            experiment = self._momentum(experiment)
        return experiment

    def _maximum(self) -> float:
        given, test = self.recipe.experiment, self.recipe.test
        runs = RangeTestRuns(
            given, load(given.data), test, self._folder, source_text=self._source_text
        )
        runs.run(self._progress, choice=self._choice, check=self._check)
        curves = [runs.curves[seed] for seed in test.seeds]
        text, suggestions = (
            write_range_report(given.name, test, curves, runs.folder),
            suggest(curves),
        )
        if suggestions.maximum is None:
            raise ValueError(f"{given.name}: {' '.join(suggestions.statements)}")
        maximum = float(f"{suggestions.maximum:.2g}")
        title = f"Learning rate: up to {maximum:g}, by the rule `{MAXIMUM_RULE}`"
        self.reasons.append(Reason(title, text, runs.folder / "range_test.png"))
        return maximum

    def _weight_decay(self, experiment: Experiment) -> Experiment:
        name, values = "weight_decay", self.recipe.weight_decays
        runs, verdict = self._judged(experiment, name, values)
        taken = _known(verdict.advised)
        self._explain(f"Weight decay: {taken.values[name]:g}", runs, taken)
        return with_value(experiment, name, taken.values[name])

    def _momentum(self, experiment: Experiment) -> Experiment:
        runs, verdict = self._judged(experiment, _MOMENTUM, self.recipe.momenta)
        taken = _known(verdict.best)
        high = taken.values[_MOMENTUM]
        self._explain(f"Momentum: {high:g}, and {_LOW:g} where the rate peaks", runs, taken)
        return with_value(experiment, _MOMENTUM, high)

    def _judged(
        self, experiment: Experiment, name: str, values: tuple[float, ...]
    ) -> tuple[GridRuns, Ranking]:
        """The short runs at these values, made, and what they say."""
        grid, folder = self.recipe.grid(experiment, name, values), self._folder / name
        runs = GridRuns(grid, folder, source_text=self._source_text)
        runs.run(self._progress, choice=self._choice, check=self._check)
        return runs, rank_cells(runs.results())

    def _explain(self, title: str, runs: GridRuns, taken: Result) -> None:
        """Adds a step's reason: its table, and what the run that was taken looks like."""
        report = write_grid_report(runs)
        records = next(r.records for r in runs.runs() if r.cell.values == taken.values)
        text = f"{report.markdown}- {fit_diagnosis(records[0].evaluations)}"
        self.reasons.append(Reason(title, text, runs.folder / "grid.png"))


def _known(result: Result | None) -> Result:
    if result is None:
        raise ValueError(
            "every short run diverged, at a maximum that the range test suggests; look at its "
            "curves, and give the range test more updates or seeds."
        )
    return result
