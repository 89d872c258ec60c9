"""Finds a 1cycle recipe: a range test, then short runs at weight decays, then at momenta."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxsched.experiment import (
    Experiment,
    held_out,
    lr_name,
    source_of,
    with_value,
    without_stateful,
)
from jaxsched.field_types import check_field_types
from jaxsched.lr_finder.suggest import MAXIMUM_RULE, MINIMUM_SHARE
from jaxsched.plan import Phase
from jaxsched.schedules import OneCycle, Schedule
from jaxsched.tracking import Progress, claim_runs, load, read_records
from jaxsched.train import Member
from jaxsched.train.population.strategy import StrategyChoice
from jaxsched.tune.execution.runner import Runner
from jaxsched.tune.grid.grid import Grid
from jaxsched.tune.grid.ranking import Ranking, Result, rank_cells
from jaxsched.tune.grid.report import write_grid_report
from jaxsched.tune.grid.runs import GridRuns
from jaxsched.tune.range_test.range_test import RangeTest, RangeTestRuns
from jaxsched.tune.range_test.report import judged, write_range_report
from jaxsched.tune.recipe.comparison import compare
from jaxsched.tune.recipe.config_writer import Reason
from jaxsched.tune.recipe.overfitting import fit_diagnosis

# A short run's share of the experiment's epochs.
_SHORT = 0.2
_HIGH_MOMENTUM, _LOW_MOMENTUM = 0.95, 0.85
_MOMENTUM = "optimizer.momentum.high"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The steps of a recipe; each step uses the result of the step before.

        1. a range test of the learning rate, whose `Suggestions.maximum` is the cycle's peak
        2. short 1cycle runs at each weight decay, refined by bisecting the exponent
        3. short 1cycle runs at each highest momentum, which falls to 0.85 where the learning rate
           peaks
        4. whole runs of the recipe and of the experiment as it was given, over the same seeds; the
           better one is taken, see `compare`

    Attributes:
        experiment: the experiment, whose network, data, first batch size and epochs stay as they
            are. The cycle replaces its schedules and its stateful transformations.
        test: the range test; its seeds are also those of the short runs.
        weight_decays: weight decays to try; without any, the experiment's own stays.
        momenta: the highest momenta to try, each at least 0.85; without any, it is 0.95.
        epochs: epochs of a short run; by default a fifth of the experiment's, and at least one.
        refine: how many times to add weight decays between the best one and its neighbours.
        compare: whether to make the last step, which trains both in full with every seed; without
            it nobody knows whether the recipe helps.

    Raises:
        ValueError: when the experiment cannot be written as a config, or a number is out of range.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        sections 4.1 to 4.4; the rule that reads the learning rate off the range test is ours.
    """

    experiment: Experiment
    test: RangeTest = RangeTest()
    weight_decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 0.0)
    momenta: tuple[float, ...] = (0.9, 0.95, 0.99)
    epochs: float | None = None
    refine: int = 1
    compare: bool = True

    def __post_init__(self):
        check_field_types(self)
        if not all(_LOW_MOMENTUM <= momentum < 1 for momentum in self.momenta):
            raise ValueError(
                f"Recipe needs momenta within [{_LOW_MOMENTUM}, 1), the highest values of a cycle "
                f"that falls to {_LOW_MOMENTUM}, got {self.momenta}."
            )
        # These raise now rather than after the runs before them.
        cycle = self.one_cycle(1.0)
        source_of(cycle)
        if self.compare:  # which of the two will be written is not known yet
            _require_writable(self.experiment)
        for name, values in ("weight_decay", self.weight_decays), ("momentum", self.momenta):
            if values and name in cycle.optimizer.schedules():
                self.grid(cycle, name, values)

    def one_cycle(self, maximum: float) -> Experiment:
        """Returns the experiment with the 1cycle schedules and its own weight decay.

        Args:
            maximum: the peak of the learning rate.

        Raises:
            ValueError: when none of the optimizer's schedules is known to be the learning rate.
        """
        given, bare = self.experiment, without_stateful(self.experiment.optimizer)
        cycle = OneCycle(maximum, duration="100%", div_factor=1 / MINIMUM_SHARE)
        changed: dict[str, Schedule] = {lr_name(bare): cycle}
        if "momentum" in bare.schedules():
            changed["momentum"] = cycle.momentum(_HIGH_MOMENTUM, _LOW_MOMENTUM)
        epochs = sum(phase.epochs for phase in given.phases)
        return dataclasses.replace(
            given,
            name=f"{given.name}_one_cycle",
            phases=(Phase(epochs, given.phases[0].batch_size),),
            optimizer=bare.with_schedules(changed),
            batch_growth=None,
        )

    def grid(self, experiment: Experiment, name: str, values: tuple[float, ...]) -> Grid:
        """Returns the grid of short runs at these values."""
        epochs = experiment.phases[0].epochs
        short = min(epochs, max(1.0, _SHORT * epochs)) if self.epochs is None else self.epochs
        refine = self.refine if name == "weight_decay" else 0
        return Grid(
            experiment=experiment,
            axes={name: values},
            epochs=short,
            seeds=self.test.seeds,
            refine=refine,
        )


class RecipeRuns:
    """The runs of a recipe; those with a finished record are not made again.

    Args:
        recipe: the recipe to find.
        folder: the parent folder, with a folder for each step.
        source_text: the text of the config file.
        progress: shows the progress.
        choice: how the short runs share the devices, see `prepare`.
        check: is called about once a second; an exception from it ends the runs.

    Attributes:
        reasons: the results of the steps so far.
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
        self._progress = progress
        self._choice: StrategyChoice = choice
        self._check = check

    def find(self) -> Experiment:
        """Makes the runs and returns the experiment with the numbers that they found.

        Where the comparison shows that these are no better, it returns the given experiment.

        Raises:
            ValueError: when the range test suggests no learning rate, or every short run diverges.
        """
        experiment = self.recipe.one_cycle(self._find_maximum())
        schedules = experiment.optimizer.schedules()
        if self.recipe.weight_decays and "weight_decay" in schedules:
            experiment = self._with_best_weight_decay(experiment)
        if self.recipe.momenta and "momentum" in schedules:
            experiment = self._with_best_momentum(experiment)
        return self._better(experiment) if self.recipe.compare else experiment

    def _better(self, recipe: Experiment) -> Experiment:
        """Trains the recipe and the given experiment in full; returns the better one."""
        given, seeds = self.recipe.experiment, self.recipe.test.seeds
        folder = self._folder / "comparison"
        runner = Runner(
            folder, source_text=self._source_text, progress=self._progress, check=self._check
        )
        both = [
            [Member(dataclasses.replace(held_out(e), weight_norms=False), seed) for seed in seeds]
            for e in (given, recipe)
        ]
        with claim_runs(folder):
            runner.run([member for members in both for member in members])
        records = [read_records(map(runner.path, members))[0] for members in both]
        comparison = compare(records[0], records[1], given.task.main_metric)
        self.reasons.append(Reason(comparison.title, comparison.report))
        return recipe if comparison.takes_recipe else given

    def _find_maximum(self) -> float:
        test = self.recipe.test
        given = test.tested(self.recipe.experiment)
        data = load(given.task.data)
        runs = RangeTestRuns(given, data, test, self._folder, source_text=self._source_text)
        runs.run(self._progress, choice=self._choice, check=self._check)
        curves = [runs.curves[seed] for seed in test.seeds]
        report = write_range_report(
            given.name, test, curves, runs.folder, evaluated_on=data.evaluated_on
        )
        suggestions = judged(test, curves)
        if suggestions.maximum is None:
            raise ValueError(f"{given.name}: {' '.join(suggestions.statements)}")
        # Two digits: seeds and rules differ by more.
        maximum = float(f"{suggestions.maximum:.2g}")
        title = f"Learning rate: up to {maximum:g}, by the rule `{MAXIMUM_RULE}`"
        self.reasons.append(Reason(title, report, runs.folder / "range_test.png"))
        return maximum

    def _with_best_weight_decay(self, experiment: Experiment) -> Experiment:
        name, values = "weight_decay", self.recipe.weight_decays
        runs, ranking = self._try_values(experiment, name, values)
        chosen = _require_finite(ranking.advised)
        self._explain(f"Weight decay: {chosen.values[name]:g}", runs, chosen)
        return with_value(experiment, name, chosen.values[name])

    def _with_best_momentum(self, experiment: Experiment) -> Experiment:
        runs, ranking = self._try_values(experiment, _MOMENTUM, self.recipe.momenta)
        chosen = _require_finite(ranking.best)
        high = chosen.values[_MOMENTUM]
        self._explain(
            f"Momentum: {high:g}, and {_LOW_MOMENTUM:g} where the learning rate peaks", runs, chosen
        )
        return with_value(experiment, _MOMENTUM, high)

    def _try_values(
        self, experiment: Experiment, name: str, values: tuple[float, ...]
    ) -> tuple[GridRuns, Ranking]:
        """Makes the short runs at these values, and ranks them."""
        grid, folder = self.recipe.grid(experiment, name, values), self._folder / name
        runs = GridRuns(grid, folder, source_text=self._source_text)
        runs.run(self._progress, choice=self._choice, check=self._check)
        return runs, rank_cells(runs.results())

    def _explain(self, title: str, runs: GridRuns, chosen: Result) -> None:
        """Adds a step's reason: its table, and whether the chosen run over- or underfits."""
        report = write_grid_report(runs)
        records = next(r.records for r in runs.runs() if r.cell.values == chosen.values)
        statements = (*report.statements, fit_diagnosis(records[0].evaluations))
        report = report._replace(statements=statements)
        self.reasons.append(Reason(title, report, runs.folder / "grid.png"))


def _require_writable(experiment: Experiment) -> None:
    try:
        source_of(experiment)
    except ValueError as error:
        raise ValueError(
            f"{error} The experiment as it was given would be written if the recipe did no better; "
            "compare=False (--no-compare) leaves the comparison out."
        ) from error


def _require_finite(result: Result | None) -> Result:
    if result is None:
        raise ValueError(
            "every short run diverged at the maximum learning rate that the range test suggests; "
            "look at its curves, and give the range test more updates or seeds."
        )
    return result
