"""What an experiment says of the transformations with memory: their times in epochs or any unit."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxsched.plan import Plan, every
from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import Time
from jaxsched.schedules.units import Duration, as_duration
from jaxsched.transforms import (
    average_params,
    estimate_noise,
    scale_by_abel,
    scale_by_plateau,
    swag,
)

Metric: TypeAlias = Literal["test_loss", "test_accuracy", "train_loss"]


@dataclass(frozen=True)
class NoiseEstimate:
    """The gradient noise scale in an experiment, from every update; see `estimate_noise`.

    Attributes:
        decay: of the running means, from 0 to below 1; they weigh about the last 1/(1 − decay)
            updates.

    Raises:
        ValueError: when the decay is out of its range.

    Source:
        McCandlish et al., "An empirical model of large-batch training" (arXiv 1812.06162),
        appendix A.1.

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, noise=js.NoiseEstimate(decay=0.99)).noise.decay
        0.99
    """

    decay: float = 0.95

    def __post_init__(self):
        estimate_noise(self.decay)

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """The link of a run's Optax chain."""
        return estimate_noise(self.decay)


@dataclass(frozen=True)
class Abel:
    """ABEL in an experiment: |w|² is measured at the end of each epoch; see `scale_by_abel`.

    Attributes:
        decay_factor: multiplies the learning rate at each decay.
        last_decay: when it decays whatever the norm does; None for never.
        weights: which parameters count in |w|²: "all", or "kernels" without the biases and the
            scales of norms.
        floor: the product of all decays never falls below it.
        dead_band: a smaller relative change of |w|² is no change.
        guard_rising: take only a fall that turns into a rise for a minimum.
        stop_below: end the run once a decay has gained less test accuracy than this, a share; None
            for never. The gain is that of the best evaluation since the decay over the best before
            it, looked at `stop_after` epochs after the decay.
        stop_after: epochs from a decay to the verdict on it.

    Raises:
        ValueError: when a number is out of its range.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), algorithm 1; the rule to
        stop is its section on runs without a fixed budget.

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, weight_decay=5e-4, abel=js.Abel(decay_factor=0.2)).abel.floor
        0.0
    """

    decay_factor: float = 0.1
    last_decay: Time | None = "85%"
    weights: Literal["all", "kernels"] = "all"
    floor: float = 0.0
    dead_band: float = 0.0
    guard_rising: bool = False
    stop_below: float | None = None
    stop_after: float = 5.0

    def __post_init__(self):
        self._scale_by_abel(at=every(1), last_decay_at=None)
        if self.stop_after < 0:
            raise ValueError(f"Abel needs stop_after of at least 0 epochs, got {self.stop_after}.")

    def last_decay_at(self, plan: Plan) -> int | None:
        """The update of the unconditional decay in a run with this plan."""
        return None if self.last_decay is None else plan.first_step(self.last_decay)

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The link of a run's Optax chain."""
        step = self.last_decay_at(plan)
        if step is not None and not 1 <= step < plan.total_steps:
            raise ValueError(
                f"Abel needs last_decay after the first of {plan.total_steps} updates and before "
                f"the last, got {self.last_decay!r}, which is update {step}; 85 % is usual."
            )
        last = None if self.last_decay is None else plan.reaches(self.last_decay)
        return self._scale_by_abel(plan.is_epoch_start, last)

    def _scale_by_abel(self, at: TimeFunction, last_decay_at: TimeFunction | None):
        return scale_by_abel(
            self.decay_factor,
            at,
            last_decay_at,
            mask=_kernels if self.weights == "kernels" else None,
            floor=self.floor,
            dead_band=self.dead_band,
            guard_rising=self.guard_rising,
        )


def _kernels(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda w: w.ndim > 1, params)


@dataclass(frozen=True)
class Plateau:
    """torch's ReduceLROnPlateau in an experiment: it observes each evaluation once.

    The numbers are those of `scale_by_plateau`; an observation is an evaluation, so `patience` and
    `cooldown` count these. A decay is in force from the first update after the evaluation.

    Attributes:
        metric: what is observed: a loss should fall, an accuracy rise.
        factor: multiplies the learning rate at each decay.
        patience: bad evaluations that are borne before a decay.
        threshold: how much better counts as better.
        threshold_mode: "rel", a share of the best value, or "abs".
        cooldown: evaluations after a decay that cannot count as bad.
        min_scale: the product of all decays never falls below it.
        eps: a smaller step of that product is not taken.

    Raises:
        ValueError: when a number is out of its range.

    Source:
        torch 2.13, `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, plateau=js.Plateau("test_accuracy", patience=3)).plateau.mode
        'max'
    """

    metric: Metric = "test_loss"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    min_scale: float = 0.0
    eps: float = 1e-8

    def __post_init__(self):
        self._scale_by_plateau(at=every(1))

    @property
    def mode(self) -> Literal["min", "max"]:
        """Which way is better."""
        return "max" if self.metric == "test_accuracy" else "min"

    def transformation(
        self, plan: Plan, evaluation_marks: Sequence[int]
    ) -> optax.GradientTransformationExtraArgs:
        """The link of a run's Optax chain; an evaluation comes at each of these examples."""
        return self._scale_by_plateau(plan.clock.reaches(evaluation_marks))

    def _scale_by_plateau(self, at: TimeFunction):
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["metric"]
        return scale_by_plateau(at, mode=self.mode, **fields)


@dataclass(frozen=True)
class Collected:
    """Which weights along the way an average is made of; the fields that all averages share."""

    start: Time = "75%"
    every: Time = 1
    statistics_examples: int = 10_000

    def __post_init__(self):
        unit, amount = self._stretch.unit, self._stretch.amount
        if unit not in ("epoch", "update") or amount < 1 or amount % 1:
            raise ValueError(
                f"{type(self).__name__} needs every to be whole epochs or whole updates, such as 1 "
                f"or '10 updates', got {self.every!r}."
            )
        if self.statistics_examples < 1:
            raise ValueError(
                f"{type(self).__name__} needs statistics_examples of at least 1, got "
                f"{self.statistics_examples}; batch norm has no statistics of the mean otherwise."
            )

    @property
    def _stretch(self) -> Duration:
        return as_duration(self.every)

    def collects(self, plan: Plan) -> TimeFunction:
        """The updates that make weights which are collected, in a run with this plan."""
        start = plan.first_step(self.start)
        if start >= plan.total_steps:
            raise ValueError(
                f"{type(self).__name__} needs a start before the last of {plan.total_steps} "
                f"updates, got {self.start!r}, which is update {start}."
            )
        n = int(self._stretch.amount)
        if self._stretch.unit == "epoch":
            return plan.every_epochs(n, self.start)
        has_started = plan.has_reached(self.start)
        return lambda step: has_started(step) & ((jnp.asarray(step) + 1) % n == 0)


@dataclass(frozen=True)
class Averaging(Collected):
    """The mean of the weights along the way: SWA, EMA or a tail average; see `average_params`.

    Every evaluation then looks at the weights as they are and at their mean, whose batch-norm
    statistics are re-estimated first; that counts as training time.

    Attributes:
        start: the time from which on weights are collected.
        every: how far apart: whole epochs, whose last weights are taken, or text such as
            "10 updates", for what updates 10, 20, 30 … of the run make.
        statistics_examples: how many training examples, augmented as in training, the batch-norm
            statistics of the mean are re-estimated from, up to a batch; never more than there are.
            At the end of a run all of them are used once more, and the record holds how far apart
            the two are.
        decay: of an exponential average, between 0 and 1; None for equal weights (SWA).

    Raises:
        ValueError: when a number is out of its range.

    Source:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization"
        (arXiv 1803.05407).

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, averaging=js.Averaging(start="75%")).averaging.every
        1
    """

    decay: float | None = None

    def __post_init__(self):
        super().__post_init__()
        average_params(every(1), decay=self.decay)

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The link of a run's Optax chain."""
        return average_params(self.collects(plan), decay=self.decay)


@dataclass(frozen=True)
class Swag(Collected):
    """A Gaussian of the weights along the way, whose mean is SWA's; see `swag`.

    Attributes:
        start: see `Averaging`.
        every: see `Averaging`.
        statistics_examples: see `Averaging`.
        rank: how many deviations from the mean are kept.

    Raises:
        ValueError: when a number is out of its range.

    Source:
        Maddox et al., "A simple baseline for Bayesian uncertainty in deep learning"
        (arXiv 1902.02476).

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, averaging=js.Swag(rank=10)).averaging.rank
        10
    """

    rank: int = 20

    def __post_init__(self):
        super().__post_init__()
        swag(every(1), rank=self.rank)

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The link of a run's Optax chain."""
        return swag(self.collects(plan), rank=self.rank)
