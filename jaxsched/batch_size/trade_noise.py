"""The noise scale that a trade keeps, and the recipe that it is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from jaxsched.batch_size.example_time import ExampleFunction, ExampleTimeline
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule

TradeMode: TypeAlias = Literal["batch", "hybrid", "lr"]


ScalingRule: TypeAlias = Literal["sgd", "sqrt", "seesaw"]


# How many of the allowed batch sizes each mode uses.
SIZES_OF_MODE = {"batch": None, "hybrid": 2, "lr": 1}


class Hyperparams(NamedTuple):
    """What an update trains with, over a run.

    Attributes:
        plan: how long, and at which batch sizes.
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
    """The quantity that a trade keeps: lr times a power of N / B, over 1 − momentum for SGD."""

    rule: ScalingRule
    exact: bool

    def __post_init__(self):
        require_one_of("rule", self.rule, get_args(ScalingRule))
        if self.exact and self.rule != "sgd":
            raise ValueError(
                f"trade keeps the exact noise scale of SGD alone, got exact=True with rule="
                f"{self.rule!r}; leave one of them out."
            )

    @property
    def name(self) -> str:
        """As a table calls it."""
        return "g" if self.rule == "sgd" else "lr √(N/B)"

    @property
    def power(self) -> float:
        """The power of N / B that the learning rate is multiplied by."""
        return 1.0 if self.rule == "sgd" else 0.5

    @property
    def growth(self) -> float:
        """The power of a fall of the noise that goes into the batch."""
        return 2.0 if self.rule == "sqrt" else 1.0

    def of_size(self, batch_size: np.ndarray, num_examples: int) -> np.ndarray:
        """The noise at learning rate 1, without momentum."""
        return (num_examples / batch_size - self.exact) ** self.power

    def factor(self, new: np.ndarray, old: np.ndarray, num_examples: int) -> np.ndarray:
        """What keeps the noise as a factor of the learning rate, when the batch size changes."""
        return self.of_size(old, num_examples) / self.of_size(new, num_examples)

    def of(self, recipe: Hyperparams) -> ExampleFunction:
        """The noise of a recipe's update that starts at an example."""
        timeline = ExampleTimeline(recipe.plan)

        def noise(examples: np.ndarray) -> np.ndarray:
            of_size = self.of_size(timeline.batch_size(examples), recipe.plan.num_examples)
            momentum = timeline.values(recipe.momentum)(examples) if self.rule == "sgd" else 0.0
            return timeline.values(recipe.lr)(examples) * of_size / (1 - momentum)

        return noise


def require_one_of(name: str, value: Any, names: Sequence[str]) -> None:
    """Raises `ValueError` unless the value is one of the names."""
    if value not in names:
        raise ValueError(f"trade needs {name} to be one of {list(names)}, got {name}={value!r}.")
