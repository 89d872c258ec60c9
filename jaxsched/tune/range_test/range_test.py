"""The range test of an experiment: a value raised update by update, and what the losses say."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxsched.data import Dataset
from jaxsched.experiment import Experiment, freeze_hyperparams, hyperparams_at_peak_lr, lr_name
from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.divergence import has_diverged
from jaxsched.plan import Phase, Plan
from jaxsched.schedules import Exponential, Linear, Schedule, Stretch
from jaxsched.tracking import Progress
from jaxsched.tracking.recorder import record_header
from jaxsched.train import Member, Population, Program
from jaxsched.tune.execution.strategy import Execution, StrategyChoice, prepare
from jaxsched.tune.range_test.curve_files import read_curve, write_curve

# Updates between looks at the losses, for progress and to stop at a divergence.
_LOOK = 20
_FEWEST_UPDATES = 20


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """What is raised in short runs of an experiment, from where to where.

    The other hyper-parameters are held where the experiment's learning rate is highest. A raised
    learning rate starts at `low` and reaches `high` at the last update.

    Formula, of update k of U:
        low · (high / low)^(k / (U − 1))       axis "log"
        low + (high − low) · k / (U − 1)       axis "linear"

    Attributes:
        of: "lr", or "momentum" at the learning rate that the experiment's highest is.
        low: the first value.
        high: the last value, unless the run diverges before.
        num_updates: U.
        axis: how the values are spaced.
        seeds: one run each.

    Raises:
        ValueError: when a number is out of its range.

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

    def __post_init__(self):
        least = 0.0 if self.axis == "linear" else math.ulp(0.0)
        most = 1.0 if self.of == "momentum" else math.inf
        if not least <= self.low < self.high <= most:
            raise ValueError(
                f"RangeTest needs low < high, within {'(0' if least else '[0'}, {most:g}] for "
                f"{self.of} on a {self.axis} axis, got low={self.low}, high={self.high}."
            )
        if self.num_updates < _FEWEST_UPDATES:
            raise ValueError(
                f"RangeTest needs at least {_FEWEST_UPDATES} updates, because fewer are noise, got "
                f"num_updates={self.num_updates}; 100 to 500 are usual."
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"RangeTest needs different seeds, at least one, got {self.seeds}.")

    def experiment(self, experiment: Experiment, plan: Plan) -> Experiment:
        """The short run.

        Args:
            experiment: what is tested.
            plan: of it.

        Example:
            >>> import jaxsched as js
            >>> from jaxsched.data import Synthetic
            >>> from jaxsched.models import R9
            >>> from jaxsched.experiment import Experiment
            >>> from jaxsched.tune import RangeTest
            >>> experiment = Experiment(
            ...     name="cycle",
            ...     model=R9,
            ...     data=Synthetic(),
            ...     phases=(js.Phase(epochs=10, batch_size=250),),
            ...     optimizer=js.SGD(js.OneCycle(0.5, 10), momentum=0.9),
            ... )
            >>> test = RangeTest(low=0.0, high=2.0, num_updates=21, axis="linear")
            >>> test.experiment(experiment, experiment.plan(num_examples=1000)).optimizer.lr
            Stretch(schedule=Linear(start=0.0, end=2.0, duration=20), factor=0.25)
        """
        size = experiment.phases[0].batch_size
        epoch = size / plan.num_examples  # that an update takes
        optimizer = freeze_hyperparams(
            experiment.optimizer, hyperparams_at_peak_lr(experiment, plan)
        )
        name = lr_name(optimizer) if self.of == "lr" else self.of
        if name not in optimizer.schedules():
            raise ValueError(
                f"a range test of {self.of} needs an optimizer with a schedule of that name, got "
                f"{sorted(optimizer.schedules())}; use SGD."
            )
        raised = {name: Stretch(self._by_updates(), epoch)}
        return dataclasses.replace(
            experiment,
            name=f"{experiment.name}_{self.of}_range",
            phases=(Phase(self.num_updates * epoch, size),),
            optimizer=optimizer.with_schedules(raised),
            batch_growth=None,
            weight_norms=False,
        )

    def _by_updates(self) -> Schedule:
        last = self.num_updates - 1
        if self.axis == "linear":
            return Linear(self.low, self.high, last)
        return Exponential(self.low, (self.high / self.low) ** (1 / last))

    def values(self) -> np.ndarray:
        """What the updates use: f64[num_updates]."""
        space = np.linspace if self.axis == "linear" else np.geomspace
        return space(self.low, self.high, self.num_updates)


# Smith's range of section 4.3, at a learning rate that is held.
MOMENTUM_RANGE = RangeTest(of="momentum", low=0.7, high=1.0, axis="linear")


class RangeTestRuns:
    """The runs of a range test: one after another, or several at once.

    A curve that is on disk is not made again, so that after an interrupt the same test goes on.

    Args:
        experiment: what is tested.
        dataset: what its `data.load()` gave.
        test: what is raised, and with which seeds.
        folder: of the curves; each test and each experiment has a folder of its own in it.
        source_text: of the config file.

    Attributes:
        experiment: the short run.
        folder: of this test's curves.
        curves: by seed, those done; and of those under way, as far as they have got.

    Raises:
        ValueError: when the test does not suit the experiment.
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
        self.folder = folder / f"{self.experiment.name}-{self.experiment.digest()}"
        self._dataset, self._source_text = dataset, source_text
        paths = {seed: self._path(seed) for seed in test.seeds}
        self.curves = {seed: read_curve(path) for seed, path in paths.items() if path.exists()}

    def run(
        self,
        progress: Progress,
        *,
        choice: StrategyChoice = "auto",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the curves that are missing.

        Args:
            progress: what shows how far it is.
            choice: how many run at once, see `prepare`.
            check: is called about once a second; what it raises ends the test.

        Raises:
            ValueError: when the chosen way cannot run it, or a run's first loss is not finite.
        """
        missing = [seed for seed in self.test.seeds if not self._path(seed).exists()]
        if not missing:
            return
        progress.start(self.test.num_updates * len(missing))
        progress.show(f"{self.experiment.name}: compiling")
        members = [Member(self.experiment, seed) for seed in missing]
        at_once = prepare(members, self._dataset, choice)
        for first in range(0, len(members), at_once.size):
            chosen = members[first : first + at_once.size]
            seeds = ", ".join(str(member.seed) for member in chosen)
            run = progress.run(f"{self.experiment.name}, seed {seeds} ({at_once.way})")
            for losses, accuracies in _measured(at_once, chosen, self.test.num_updates):
                run.done(losses.shape[1] * len(chosen))
                for member, *parts in zip(chosen, losses, accuracies, strict=True):
                    self.curves[member.seed] = self._curve(member.seed, *parts)
                check()
            for member in chosen:
                header = self._header(member.seed, at_once)
                write_curve(self._path(member.seed), header, self.curves[member.seed])
            run.end(self.test.num_updates * len(chosen), "")

    def _path(self, seed: int) -> Path:
        return self.folder / f"seed{seed}.json"

    def _curve(self, seed: int, losses: np.ndarray, accuracies: np.ndarray) -> RangeCurve:
        """What a run measured, up to its first loss that is not finite."""
        bad = np.flatnonzero(~np.isfinite(losses))
        made = slice(bad[0] + 1 if len(bad) else len(losses))
        values = self.test.values()[: len(losses)]
        return RangeCurve(
            values[made], losses[made], accuracies[made], seed=seed, axis=self.test.axis
        )

    def _header(self, seed: int, at_once: Execution) -> dict[str, Any]:
        header = record_header(
            self.experiment,
            seed,
            self._dataset,
            source_text=self._source_text,
            compile_seconds=at_once.compile_seconds,
            num_devices=at_once.num_devices,
        )
        ways = {"way": at_once.way, "seconds_an_update": at_once.seconds}
        return {**header, "test": dataclasses.asdict(self.test), **ways}


def _measured(
    at_once: Execution, members: Sequence[Member], num_updates: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Losses and accuracies so far, f64[members, updates], until all of them have diverged."""
    if at_once.cohort is None:
        (member,) = members
        looks = _in_turn(at_once.program, member.seed, num_updates)
    else:
        looks = _side_by_side(at_once.cohort, members, num_updates)
    for losses, accuracies in looks:
        yield losses, accuracies
        if all(has_diverged(of_member) for of_member in losses):
            return


def _in_turn(
    program: Program, seed: int, num_updates: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One member's, look by look; the host is ahead of the devices by one update."""
    state, none, measured, known = program.init(seed), program.zero_sums(), [], []
    for step in range(num_updates):
        # Sums of its own for each update; no update overwrites the sums that it is given.
        state, sums = program.update(state, none, seed=seed, step=step, count=1)
        # On a CPU's virtual devices, more updates under way can wait for each other for ever.
        jax.block_until_ready(measured[-1:])
        measured.append(sums)
        if (step + 1) % _LOOK == 0 or step + 1 == num_updates:
            behind = len(measured) if step + 1 == num_updates else len(measured) - _LOOK
            known += jax.device_get(measured[len(known) : behind])
            if known:
                yield (
                    np.array([[sums.mean_loss for sums in known]]),
                    np.array([[sums.accuracy for sums in known]]),
                )


def _side_by_side(
    cohort: Population, members: Sequence[Member], num_updates: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Several members', look by look."""
    runs = cohort.start(members)
    while runs.step < num_updates:
        runs.advance(min(runs.step + _LOOK, num_updates))
        losses, accuracies = runs.trace()
        yield np.asarray(losses), np.asarray(accuracies)
