"""The range test of an experiment: raises a value update by update and measures the losses."""

import dataclasses
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxsched.data import Dataset
from jaxsched.experiment import (
    Experiment,
    freeze_hyperparams,
    held_out,
    hyperparams_at_peak_lr,
    lr_name,
)
from jaxsched.experiment.seeds import require_seeds
from jaxsched.field_types import check_field_types
from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.trend import MIN_POINTS
from jaxsched.output import require_file_name
from jaxsched.plan import Phase, Plan
from jaxsched.schedules import Exponential, Linear, Schedule, Stretch
from jaxsched.tracking import Progress, claim_runs, record_header
from jaxsched.train import Member
from jaxsched.train.population.strategy import StrategyChoice
from jaxsched.tune.execution.strategy import Execution, prepare
from jaxsched.tune.range_test.curve_files import read_curve, write_curve
from jaxsched.tune.range_test.measure import Measured, Metrics, measure

_FEWEST_UPDATES = 20


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """The value to raise in short runs of an experiment, and its range.

    The value starts at `low` and reaches `high` at the last update. The other hyper-parameters are
    constant, at their values where the experiment's learning rate is highest.

    Formula, for update k = 0 … U − 1:
        low · (high / low)^(k / (U − 1))       axis "log"
        low + (high − low) · k / (U − 1)       axis "linear"

    Attributes:
        of: the value to raise: "lr", or "momentum" at the experiment's highest learning rate.
        low: the first value.
        high: the last value, unless the run diverges before.
        num_updates: U, the number of updates.
        axis: how the values are spaced.
        seeds: one run for each seed.
        validate_every: the number of updates between two evaluations on held-out examples, as in
            Smith's figures; None for no evaluation.
        judged_by: the losses that the rules read, "training" or "validation"; by default the
            validation losses where they are measured.

    Raises:
        ValueError: when a number is out of its range, or there would be too few validation losses
            to read.

    Source:
        L. N. Smith, "Cyclical learning rates for training neural networks" (arXiv 1506.01186),
        section 3.3, and "A disciplined approach to neural network hyper-parameters" (arXiv
        1803.09820), sections 4.1 and 4.3.
    """

    of: Literal["lr", "momentum"] = "lr"
    low: float = 1e-4
    high: float = 10.0
    num_updates: int = 200
    axis: Literal["log", "linear"] = "log"
    seeds: tuple[int, ...] = (0, 1, 2)
    validate_every: int | None = None
    judged_by: Literal["training", "validation"] | None = None

    def __post_init__(self):
        check_field_types(self)
        least = 0.0 if self.axis == "linear" else math.ulp(0.0)
        most = 1.0 if self.of == "momentum" else sys.float_info.max
        if not least <= self.low < self.high <= most:
            bound = "1]" if self.of == "momentum" else "inf)"
            raise ValueError(
                f"RangeTest needs low < high, within {'(0' if least else '[0'}, {bound} for "
                f"{self.of} on a {self.axis} axis, got low={self.low}, high={self.high}."
            )
        if self.num_updates < _FEWEST_UPDATES:
            raise ValueError(
                f"RangeTest needs at least {_FEWEST_UPDATES} updates, because fewer are noise, got "
                f"num_updates={self.num_updates}; 100 to 500 are usual."
            )
        require_seeds("RangeTest", self.seeds)
        self._check_validation()

    def _check_validation(self) -> None:
        every = self.validate_every
        if every is None and self.judged_by == "validation":
            raise ValueError(
                "RangeTest needs validate_every to be judged by the validation loss; 5 is usual."
            )
        most = self.num_updates // MIN_POINTS
        if every is not None and not 1 <= every <= most:
            raise ValueError(
                f"RangeTest needs validate_every within 1 … {most}, so that there are at least "
                f"{MIN_POINTS} validation losses, got {every}."
            )

    @property
    def reads(self) -> Literal["training", "validation"]:
        """The losses that the rules read."""
        return self.judged_by or ("training" if self.validate_every is None else "validation")

    def tested(self, experiment: Experiment) -> Experiment:
        """Returns the experiment with the data of the test: held-out examples, if it needs some."""
        return experiment if self.validate_every is None else held_out(experiment)

    def experiment(self, experiment: Experiment, plan: Plan) -> Experiment:
        """Returns the short experiment in which the value is raised.

        Args:
            experiment: the experiment to test.
            plan: its plan.

        Raises:
            ValueError: when the optimizer has no schedule of the value to raise.

        Example:
            >>> import jaxsched as js
            >>> from jaxsched.data import Synthetic
            >>> from jaxsched.models import R9
            >>> from jaxsched.experiment import Experiment
            >>> from jaxsched.tasks import ImageClassification
            >>> from jaxsched.tune import RangeTest
            >>> experiment = Experiment(
            ...     name="cycle",
            ...     task=ImageClassification(model=R9, data=Synthetic()),
            ...     phases=(js.Phase(epochs=10, batch_size=250),),
            ...     optimizer=js.SGD(js.OneCycle(0.5, 10), momentum=0.9),
            ... )
            >>> test = RangeTest(low=0.0, high=2.0, num_updates=21, axis="linear")
            >>> test.experiment(experiment, experiment.plan(num_examples=1000)).optimizer.lr
            Stretch(schedule=Linear(start=0.0, end=2.0, duration=20), factor=0.25)
        """
        size = experiment.phases[0].batch_size
        epochs_per_update = size / plan.num_examples
        optimizer = freeze_hyperparams(
            experiment.optimizer, hyperparams_at_peak_lr(experiment, plan)
        )
        name = lr_name(optimizer) if self.of == "lr" else self.of
        if name not in optimizer.schedules():
            raise ValueError(
                f"a range test of {self.of} needs an optimizer with a schedule of that name, got "
                f"{sorted(optimizer.schedules())}; use SGD."
            )
        raised = {name: Stretch(self._schedule_in_updates(), epochs_per_update)}
        return dataclasses.replace(
            experiment,
            name=f"{experiment.name}_{self.of}_range",
            phases=(Phase(self.num_updates * epochs_per_update, size),),
            optimizer=optimizer.with_schedules(raised),
            batch_growth=None,
            weight_norms=False,
        )

    def _schedule_in_updates(self) -> Schedule:
        last = self.num_updates - 1
        if self.axis == "linear":
            return Linear(self.low, self.high, last)
        return Exponential(self.low, (self.high / self.low) ** (1 / last))

    def values(self) -> np.ndarray:
        """Returns the value that each update uses, f64[num_updates]."""
        space = np.linspace if self.axis == "linear" else np.geomspace
        return space(self.low, self.high, self.num_updates)


# Smith's range of section 4.3, at a constant learning rate.
MOMENTUM_RANGE = RangeTest(of="momentum", low=0.7, high=1.0, axis="linear")


class RangeTestRuns:
    """The runs of a range test, one after another or several at once.

    A curve on disk is not measured again, so that after an interrupt the same test goes on.

    Args:
        experiment: the experiment to test, as `RangeTest.tested` returns it.
        dataset: the data set that its `data.load()` returned.
        test: the value to raise, its range, and the seeds.
        folder: the parent folder; each test of each experiment has a folder of its own in it.
        source_text: the text of the config file.

    Attributes:
        experiment: the short experiment in which the value is raised.
        folder: the folder of this test's curves.
        curves: the curves by seed; that of an unfinished run is as long as it has got.

    Raises:
        ValueError: when the optimizer has no schedule of the value to raise, or a curve on disk
            cannot be read or is of other data.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        test: RangeTest,
        folder: Path,
        *,
        source_text: str,
    ):
        plan = experiment.plan(len(dataset.train))
        self.experiment, self.test = test.experiment(experiment, plan), test
        name = f"{self.experiment.name}-{self.experiment.digest()}"
        if test.validate_every is not None:  # the same updates, but more is measured
            name += f"-validated-every-{test.validate_every}"
        self.folder = folder / require_file_name("an experiment", name)
        self._dataset, self._source_text = dataset, source_text
        self.curves = self._read()

    def run(
        self,
        progress: Progress,
        *,
        choice: StrategyChoice = "auto",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Measures the missing curves.

        Args:
            progress: shows the progress.
            choice: how the runs share the devices, see `prepare`.
            check: is called after every few updates; an exception from it ends the test.

        Raises:
            BlockingIOError: when another process makes these runs.
            ValueError: when the runs cannot be made by the chosen strategy, or a run's first loss
                is not finite.
        """
        with claim_runs(self.folder):
            self.curves = self._read()  # another process may have made some since
            self._run(progress, choice, check)

    def _read(self) -> dict[int, RangeCurve]:
        paths = {seed: self._path(seed) for seed in self.test.seeds}
        return {
            seed: read_curve(path, self._dataset) for seed, path in paths.items() if path.exists()
        }

    def _run(self, progress: Progress, choice: StrategyChoice, check: Callable[[], None]) -> None:
        missing = [seed for seed in self.test.seeds if not self._path(seed).exists()]
        if not missing:
            return
        progress.start(self.test.num_updates * len(missing))
        progress.show(f"{self.experiment.name}: compiling")
        members = [Member(self.experiment, seed) for seed in missing]
        execution = prepare(members, self._dataset, choice)
        for first in range(0, len(members), execution.size):
            group = members[first : first + execution.size]
            seeds = ", ".join(str(member.seed) for member in group)
            run = progress.run(f"{self.experiment.name}, seed {seeds} ({execution.strategy})")
            every, num_updates = self.test.validate_every, self.test.num_updates
            for measured in measure(execution, group, num_updates, every):
                run.done(measured.training["loss"].shape[1] * len(group))
                for number, member in enumerate(group):
                    self.curves[member.seed] = self._curve(member.seed, measured.of_member(number))
                check()
            for member in group:
                header = self._header(member.seed, execution)
                write_curve(self._path(member.seed), header, self.curves[member.seed])
            run.end(self.test.num_updates * len(group), "")

    def _path(self, seed: int) -> Path:
        return self.folder / f"seed{seed}.json"

    def _curve(self, seed: int, measured: Measured) -> RangeCurve:
        """The curve of a run up to its first loss that is not finite, which it includes."""
        losses = measured.training["loss"]
        bad = np.flatnonzero(~np.isfinite(losses))
        values = self.test.values()[: bad[0] + 1 if len(bad) else len(losses)]

        def curve(values: np.ndarray, metrics: Metrics, **also: Any) -> RangeCurve:
            kept = slice(len(values))
            accuracies = metrics["accuracy"][kept] if "accuracy" in metrics else None
            return RangeCurve(
                values, metrics["loss"][kept], accuracies, seed=seed, axis=self.test.axis, **also
            )

        if self.test.validate_every is None:
            return curve(values, measured.training)
        times = values[:: self.test.validate_every][: len(measured.validation["loss"])]
        validation = curve(times, measured.validation)
        return curve(values, measured.training, validation=validation)

    def _header(self, seed: int, execution: Execution) -> dict[str, Any]:
        header = record_header(
            self.experiment,
            seed,
            self._dataset,
            source_text=self._source_text,
            compile_seconds=execution.compile_seconds,
            num_devices=execution.num_devices,
        )
        return {
            **header,
            "test": dataclasses.asdict(self.test),
            "way": execution.strategy,
            "seconds_an_update": execution.seconds,
        }
