"""What is known at one evaluation: a row of the record."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxsched.optim.hyperparams import hyperparams, scaled_learning_rate
from jaxsched.plan import Plan
from jaxsched.train.step.metrics import MetricSums
from jaxsched.train.step.state import TrainState
from jaxsched.transforms import (
    AverageParamsState,
    EstimateNoiseState,
    ScaleByAbelState,
    ScaleByPlateauState,
    gradient_noise,
)
from jaxsched.transforms.base import find_states


@dataclass(frozen=True)
class Evaluation:
    """What is known at one evaluation.

    Attributes:
        step: updates made.
        examples: examples that they took.
        epoch: examples / N.
        train_seconds: spent on updates and on re-estimating batch-norm statistics so far, without
            compilation and evaluation.
        evaluation_seconds: spent on evaluations so far.
        batch_size: of the last update.
        learning_rate: that the last update used, ABEL's and plateau's scales included; None for an
            optimizer that has none.
        momentum: that the last update used; Adam's b1; 0 without momentum.
        weight_decay: that the last update used; 0 without.
        train_loss: mean over the examples since the evaluation before, augmented, as trained on.
        train_accuracy: likewise.
        test_loss: mean over the test set.
        test_accuracy: likewise.
        num_averaged: how many weights are in the average; 0 without one.
        averaged_test_loss: `test_loss` of the average; None while nothing is in it.
        averaged_test_accuracy: likewise.
        squared_norm: |w|², over all parameters.
        abel: what ABEL remembers, see `ScaleByAbelState`; None without it.
        plateau: what plateau remembers, see `ScaleByPlateauState`; None without it.
        noise: the gradient's noise scale and its parts, see `gradient_noise`; None where it is not
            estimated.
        layers: |w|² of each layer, where the experiment has `weight_norms`.
        norm_change: the terms of the change of |w|² since the evaluation before, by term and layer,
            see `NormChange`; where the experiment has `weight_norms` and SGD.
    """

    step: int
    examples: int
    epoch: float
    train_seconds: float
    evaluation_seconds: float
    batch_size: int
    learning_rate: float | None
    momentum: float
    weight_decay: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    num_averaged: int
    averaged_test_loss: float | None
    averaged_test_accuracy: float | None
    squared_norm: float
    abel: Mapping[str, float] | None
    plateau: Mapping[str, float] | None
    noise: Mapping[str, float] | None
    layers: Mapping[str, float] | None
    norm_change: Mapping[str, Mapping[str, float]] | None

    @property
    def decay(self) -> float:
        """The product of all decays so far; 1 without ABEL and plateau."""
        return math.prod(memory["scale"] for memory in (self.abel, self.plateau) if memory)


class Measured(NamedTuple):
    """What an evaluation measured, on the host or still on its way there."""

    train: MetricSums
    test: MetricSums
    averaged: MetricSums | None
    squared_norms: Any  # f32[layers]


def num_averaged(opt_state: optax.OptState) -> int:
    """How many weights the chain has averaged; 0 where it does not average."""
    found = find_states(opt_state, AverageParamsState)
    return int(found[0].num_averaged) if found else 0


def make_row(
    plan: Plan,
    state: TrainState,
    measured: Measured,
    layer_names: tuple[str, ...] | None,
    *,
    seconds: tuple[float, float],
) -> Evaluation:
    """The row of an evaluation; what was in force and what is remembered is read from the state.

    Args:
        plan: of the run.
        state: after the last update.
        measured: what the updates and the evaluation added up to.
        layer_names: where the row holds norms by layer.
        seconds: training and evaluation, so far.
    """
    estimates = find_states(state.opt_state, EstimateNoiseState)
    in_force, abel, plateau, noise, step = jax.device_get(
        (
            hyperparams(state.opt_state),
            find_states(state.opt_state, ScaleByAbelState),
            find_states(state.opt_state, ScaleByPlateauState),
            [gradient_noise(estimate) for estimate in estimates],
            state.step,
        )
    )
    rate, examples = scaled_learning_rate(in_force), plan.examples_at(int(step))
    train, test, averaged = measured.train, measured.test, measured.averaged
    return Evaluation(
        step=int(step),
        examples=examples,
        epoch=examples / plan.num_examples,
        train_seconds=seconds[0],
        evaluation_seconds=seconds[1],
        batch_size=plan.batch_size_at(int(step) - 1),
        learning_rate=None if rate is None else float(rate),
        momentum=float(in_force.get("momentum", in_force.get("b1", 0.0))),
        weight_decay=float(in_force.get("weight_decay", 0.0)),
        train_loss=train.mean_loss,
        train_accuracy=train.accuracy,
        test_loss=test.mean_loss,
        test_accuracy=test.accuracy,
        num_averaged=num_averaged(state.opt_state),
        averaged_test_loss=None if averaged is None else averaged.mean_loss,
        averaged_test_accuracy=None if averaged is None else averaged.accuracy,
        squared_norm=float(measured.squared_norms.sum(dtype=np.float64)),
        abel=_remembered(abel),
        plateau=_remembered(plateau),
        noise=_remembered(noise),
        layers=_by_name(layer_names, measured.squared_norms) if layer_names else None,
        norm_change=_change_by_name(layer_names, train) if layer_names else None,
    )


def _remembered(states: list[Any]) -> dict[str, float] | None:
    """The fields of the one state that there is, as Python numbers."""
    return {name: value.item() for name, value in states[0]._asdict().items()} if states else None


def _by_name(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _change_by_name(
    names: tuple[str, ...], train: MetricSums
) -> dict[str, dict[str, float]] | None:
    if train.norm_change is None:
        return None
    terms = train.norm_change._asdict().items()
    return {term: _by_name(names, np.asarray(values)) for term, values in terms}
