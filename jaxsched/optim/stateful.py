"""Specs of the stateful transformations in an experiment, with times in epochs or any unit."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import optax

from jaxsched.optim.fields import require_fields
from jaxsched.optim.kernels import Which, mask_of
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


@dataclass(frozen=True)
class NoiseEstimate:
    """Spec of `estimate_noise`: estimates the gradient noise scale at every update.

    Attributes:
        decay: the decay of the running means, from 0 to below 1; they weigh about the last
            1/(1 − decay) updates.

    Raises:
        ValueError: if the decay is out of its range.

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
        require_fields(self)
        estimate_noise(self.decay)  # checks the number

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """Builds the transformation for a run's Optax chain."""
        return estimate_noise(self.decay)


@dataclass(frozen=True)
class Abel:
    """Spec of ABEL: |w|² is measured at the end of each epoch; see `scale_by_abel`.

    Attributes:
        decay_factor: the factor of the learning rate at each decay.
        last_decay: the time of the unconditional decay; None for none.
        weights: which parameters count in |w|²: "all", or "kernels", which leaves out biases,
            the scales of norms, and embeddings.
        floor: the lowest product of all decays.
        dead_band: a smaller relative change of |w|² counts as none.
        guard_rising: whether only a fall that turns into a rise counts as a minimum.
        stop_below: end the run if a decay improves the task's main metric on the test set, such as
            the accuracy, by less than this, a share; None for
            never. The gain is the best evaluation since the decay minus the best before it,
            computed `stop_after` epochs after the decay.
        stop_after: the number of epochs from a decay to the check of its gain.

    Raises:
        ValueError: if a number is out of its range.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), algorithm 1; the rule to
        stop is from its section on runs without a fixed budget.

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, weight_decay=5e-4, abel=js.Abel(decay_factor=0.2)).abel.floor
        0.0
    """

    decay_factor: float = 0.1
    last_decay: Time | None = "85%"
    weights: Which = "all"
    floor: float = 0.0
    dead_band: float = 0.0
    guard_rising: bool = False
    stop_below: float | None = None
    stop_after: float = 5.0

    def __post_init__(self):
        require_fields(self)
        self._scale_by_abel(at=every(1), last_decay_at=None)  # checks the numbers
        if self.stop_after < 0:
            raise ValueError(f"Abel needs stop_after of at least 0 epochs, got {self.stop_after}.")

    def last_decay_at(self, plan: Plan) -> int | None:
        """Returns the update of the unconditional decay in a run with this plan, or None."""
        return None if self.last_decay is None else plan.first_step(self.last_decay)

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """Builds the transformation for a run's Optax chain."""
        step = self.last_decay_at(plan)
        if step is not None and not 1 <= step < plan.total_steps:
            raise ValueError(
                f"Abel needs last_decay after the first of {plan.total_steps} updates and before "
                f"the last, got {self.last_decay!r}, which is update {step}; 85 % is usual."
            )
        # A predicate rather than `step`: the batch sizes, and so the step, may change in the run.
        is_last = None if self.last_decay is None else plan.reaches(self.last_decay)
        return self._scale_by_abel(plan.is_epoch_start, is_last)

    def _scale_by_abel(self, at: TimeFunction, last_decay_at: TimeFunction | None):
        return scale_by_abel(
            self.decay_factor,
            at,
            last_decay_at,
            mask=mask_of(self.weights),
            floor=self.floor,
            dead_band=self.dead_band,
            guard_rising=self.guard_rising,
        )


@dataclass(frozen=True)
class Plateau:
    """Spec of torch's ReduceLROnPlateau: it observes each evaluation once; see `scale_by_plateau`.

    The numbers are those of `scale_by_plateau`. An observation is an evaluation, so `patience` and
    `cooldown` count evaluations. A decay is in force from the first update after the evaluation.

    Attributes:
        metric: the observed metric, such as "test_loss" or "train_accuracy"; see `Task.metrics`.
        factor: the factor of the learning rate at each decay.
        patience: the number of bad evaluations that are tolerated before a decay.
        threshold: how much better a value must be to count as better.
        threshold_mode: "rel", a share of the best value, or "abs".
        cooldown: the number of evaluations after a decay that cannot count as bad.
        min_scale: the lowest product of all decays.
        eps: a decay that changes the product by this or less is not made.
        better: whether "lower" or "higher" values of the metric are better; by default higher ones
            of an accuracy and lower ones of everything else.

    Raises:
        ValueError: if a number is out of its range.

    Source:
        torch 2.13, `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, plateau=js.Plateau("test_accuracy", patience=3)).plateau.mode
        'max'
    """

    metric: str = "test_loss"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    min_scale: float = 0.0
    eps: float = 1e-8
    better: Literal["lower", "higher"] | None = dataclasses.field(
        default=None, metadata={"described": "unless default"}
    )

    def __post_init__(self):
        require_fields(self)
        if not self.metric.startswith(("test_", "train_")):
            raise ValueError(
                f"Plateau needs metric as one of the test or training examples, got "
                f"{self.metric!r}; write test_{self.metric} or train_{self.metric}."
            )
        self._scale_by_plateau(at=every(1))  # checks the numbers

    @property
    def mode(self) -> Literal["min", "max"]:
        """ "max" for a metric of which higher values are better, else "min"."""
        is_accuracy = self.metric.endswith("accuracy")
        better = self.better or ("higher" if is_accuracy else "lower")
        return "max" if better == "higher" else "min"

    def transformation(
        self, plan: Plan, evaluation_marks: Sequence[int]
    ) -> optax.GradientTransformationExtraArgs:
        """Builds the transformation for a run's Optax chain.

        Args:
            plan: the run's plan.
            evaluation_marks: positions in the training data, in examples, at which the run
                evaluates.
        """
        return self._scale_by_plateau(plan.clock.reaches(evaluation_marks))

    def _scale_by_plateau(self, at: TimeFunction):
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["metric"], fields["better"]
        return scale_by_plateau(at, mode=self.mode, **fields)


@dataclass(frozen=True)
class CollectedWeights:
    """The fields and rules of all averages: which weights are collected during training."""

    start: Time = "75%"
    every: Time = 1
    statistics_examples: int = 10_000

    def __post_init__(self):
        require_fields(self)
        amount, unit = self._interval
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
    def _interval(self) -> Duration:
        return as_duration(self.every)

    def collects(self, plan: Plan) -> TimeFunction:
        """Returns the predicate that is true at the updates whose weights are collected."""
        start = plan.first_step(self.start)
        if start >= plan.total_steps:
            raise ValueError(
                f"{type(self).__name__} needs a start before the last of {plan.total_steps} "
                f"updates, got {self.start!r}, which is update {start}."
            )
        amount, unit = self._interval
        n = int(amount)
        if unit == "epoch":
            return plan.every_epochs(n, self.start)
        has_started = plan.has_reached(self.start)
        return lambda step: has_started(step) & ((jnp.asarray(step) + 1) % n == 0)


@dataclass(frozen=True)
class Averaging(CollectedWeights):
    """Spec of a mean of the weights: SWA, EMA or a tail average; see `average_params`.

    Every evaluation then measures both the current weights and their mean. The batch-norm
    statistics of the mean are recomputed first, which counts as training time.

    Attributes:
        start: the time from which on weights are collected.
        every: the interval between collections: whole epochs, where the last weights of the epoch
            are collected, or text such as "10 updates", for the weights after updates 10, 20, 30 …
            of the run.
        statistics_examples: the number of training examples, augmented as in training, from which
            the batch-norm statistics of the mean are recomputed; it is rounded to whole batches and
            is at most the whole training set. At the end of a run they are recomputed from all
            examples too, and the record holds the difference.
        decay: the decay of an exponential average, between 0 and 1; None for equal weights (SWA).
        warm_up: whether the decay is smaller at the beginning; False for torch's EMA.

    Raises:
        ValueError: if a number is out of its range.

    Source:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization"
        (arXiv 1803.05407).

    Example:
        >>> import jaxsched as js
        >>> js.SGD(0.1, momentum=0.9, averaging=js.Averaging(start="75%")).averaging.every
        1
    """

    decay: float | None = None
    warm_up: bool = dataclasses.field(default=True, metadata={"described": "unless default"})

    def __post_init__(self):
        super().__post_init__()
        average_params(every(1), decay=self.decay)  # checks the decay

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """Builds the transformation for a run's Optax chain."""
        return average_params(self.collects(plan), decay=self.decay, warm_up=self.warm_up)


@dataclass(frozen=True)
class Swag(CollectedWeights):
    """Spec of SWAG: a Gaussian of the weights, whose mean is SWA's; see `swag`.

    Attributes:
        start: the time from which on weights are collected; see `Averaging`.
        every: the interval between collections; see `Averaging`.
        statistics_examples: the number of examples for the mean's batch-norm statistics; see
            `Averaging`.
        rank: the number of deviations from the mean that are kept.

    Raises:
        ValueError: if a number is out of its range.

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
        swag(every(1), rank=self.rank)  # checks the rank

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """Builds the transformation for a run's Optax chain."""
        return swag(self.collects(plan), rank=self.rank)
