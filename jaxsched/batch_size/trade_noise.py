"""The noise scale that a trade keeps, and the hyperparameters that it is computed from."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from jaxsched.batch_size.example_time import ExampleFunction, ExampleTimeline
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule

ScalingRule: TypeAlias = Literal["sgd", "sqrt", "seesaw"]


class Hyperparams(NamedTuple):
    """The hyperparameters of a whole run.

    Attributes:
        plan: how long it trains, and with which batch sizes.
        lr: learning rate, a schedule in epochs.
        momentum: a schedule in epochs.
        weight_decay: a schedule in epochs.
    """

    plan: Plan
    lr: Schedule
    momentum: Schedule
    weight_decay: Schedule


@dataclass(frozen=True)
class KeptNoise:
    """The quantity that a trade keeps at every update.

    Formula:
        lr · N / (B (1 − momentum))     rule "sgd"
        lr · √(N / B)                   rules "sqrt" and "seesaw", whose momentum does not count
    """

    rule: ScalingRule

    @property
    def name(self) -> str:
        """The heading of its columns in a table."""
        return "g" if self.rule == "sgd" else "lr √(N/B)"

    @property
    def power(self) -> float:
        """The power of N / B that multiplies the learning rate."""
        return 1.0 if self.rule == "sgd" else 0.5

    @property
    def growth(self) -> float:
        """The power of a learning-rate decay by which the batch grows."""
        return 2.0 if self.rule == "sqrt" else 1.0

    def at_unit_lr(self, batch_size: np.ndarray, num_examples: int) -> np.ndarray:
        """The noise at learning rate 1 and momentum 0."""
        return (num_examples / batch_size) ** self.power

    def lr_factor(self, new: np.ndarray, old: np.ndarray, num_examples: int) -> np.ndarray:
        """The factor of the learning rate that keeps the noise when the batch size changes."""
        return self.at_unit_lr(old, num_examples) / self.at_unit_lr(new, num_examples)

    def by_example(self, run: Hyperparams) -> ExampleFunction:
        """The noise of the update that starts at an example, for a run."""
        timeline = ExampleTimeline(run.plan)

        def noise(examples: np.ndarray) -> np.ndarray:
            at_unit_lr = self.at_unit_lr(timeline.batch_size(examples), run.plan.num_examples)
            momentum = timeline.by_example(run.momentum)(examples) if self.rule == "sgd" else 0.0
            return timeline.by_example(run.lr)(examples) * at_unit_lr / (1 - momentum)

        return noise
