"""The result of one evaluation, which is a row of a run's record."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsched.experiment.serialize import describe
from jaxsched.optim.hyperparams import known_hyperparams, scaled_learning_rate
from jaxsched.plan import Plan
from jaxsched.tasks import MetricSums
from jaxsched.train.step.state import TrainState
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.transforms import (
    EstimateNoiseState,
    ScaleByAbelState,
    ScaleByPlateauState,
    gradient_noise,
    num_averaged,
)
from jaxsched.transforms.base import find_states


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation, and the state of the run at that moment.

    Attributes:
        step: the number of updates made.
        examples: the number of examples in these updates.
        epoch: examples / N.
        train_seconds: seconds spent so far on updates and on re-estimating batch-norm statistics,
            without compilation and evaluation.
        evaluation_seconds: seconds spent so far on evaluations.
        batch_size: the batch size of the last update.
        learning_rate: the learning rate of the last update, including ABEL's and plateau's scales;
            None for an optimizer that has none.
        momentum: the momentum of the last update, which is b1 for Adam; 0 without momentum.
        weight_decay: the weight decay of the last update; 0 without weight decay.
        metrics: the metrics of the task, which are attributes of the row too. `train_loss`,
            `train_accuracy` and so on are means over the examples since the evaluation before,
            augmented as they were in training; `test_loss` and so on are those of the test set,
            and `averaged_test_loss` and so on those of the average, None while that is empty.
        num_averaged: the number of weights in the average; 0 without an average. A schedule-free
            optimizer keeps one of all updates, see `averaged_params`.
        squared_norm: |w|² of all parameters.
        abel: ABEL's state, see `ScaleByAbelState`; None without ABEL.
        plateau: plateau's state, see `ScaleByPlateauState`; None without plateau.
        noise: the gradient's noise scale and its parts, see `gradient_noise`; None if it is not
            estimated.
        layers: |w|² of each layer; None unless the experiment has `weight_norms`.
        norm_change: the terms of the change of |w|² since the evaluation before, by term and layer,
            see `NormChange`; None unless the experiment has `weight_norms` and SGD.
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
    metrics: Mapping[str, Any]
    num_averaged: int
    squared_norm: float
    abel: Mapping[str, float] | None
    plateau: Mapping[str, float] | None
    noise: Mapping[str, float] | None
    layers: Mapping[str, float] | None
    norm_change: Mapping[str, Mapping[str, float]] | None

    def __getattr__(self, name: str) -> Any:
        """Returns a metric."""
        # By way of the dict, because a copy asks for attributes before there are any.
        metrics = self.__dict__.get("metrics", {})
        if name not in metrics:
            raise AttributeError(
                f"expected an attribute or a metric of an evaluation, one of {list(metrics)}, got "
                f"{name!r}."
            )
        return metrics[name]

    def as_json(self) -> dict[str, Any]:
        """Returns the row of a record, in which the metrics stand beside the other fields."""
        found = describe(self)
        return {**found.pop("metrics"), **found}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Evaluation":
        """Returns the evaluation of which `as_json` made a row."""
        names = {f.name for f in dataclasses.fields(cls)}
        metrics = {name: value for name, value in row.items() if name not in {*names, "type"}}
        return cls(metrics=metrics, **{name: row[name] for name in names - {"metrics"}})

    @property
    def decay(self) -> float:
        """The product of all decays so far; 1 without ABEL and plateau."""
        return math.prod(state["scale"] for state in (self.abel, self.plateau) if state)


class Measured(NamedTuple):
    """The measurements of an evaluation, on the devices or on the host."""

    train: UpdateSums  # over the updates since the evaluation before
    test: MetricSums
    averaged: MetricSums | None  # over the test set, of the average
    squared_norms: Any  # f32[layers]


def make_row(
    plan: Plan,
    state: TrainState,
    measured: Measured,
    metric_values: Callable[[MetricSums], Mapping[str, Any]],
    *,
    layer_names: tuple[str, ...] | None,
    seconds: tuple[float, float],
) -> Evaluation:
    """Returns the row of an evaluation.

    Reads the hyperparameters and the states of ABEL, plateau and the noise estimate from `state`.

    Args:
        plan: the run's plan.
        state: the state after the last update.
        measured: the measurements, on the host.
        metric_values: see `TaskFunctions.metric_values`.
        layer_names: the layers' names, to put norms by layer into the row; None leaves them out.
        seconds: the seconds of training and of evaluation so far.
    """
    estimates = find_states(state.opt_state, EstimateNoiseState)
    # One transfer for all of them.
    settings, abel, plateau, noise, step = jax.device_get(
        (
            known_hyperparams(state.opt_state),
            find_states(state.opt_state, ScaleByAbelState),
            find_states(state.opt_state, ScaleByPlateauState),
            [gradient_noise(estimate) for estimate in estimates],
            state.step,
        )
    )
    learning_rate, examples = scaled_learning_rate(settings), plan.examples_at(int(step))
    return Evaluation(
        step=int(step),
        examples=examples,
        epoch=examples / plan.num_examples,
        train_seconds=seconds[0],
        evaluation_seconds=seconds[1],
        batch_size=plan.batch_size_at(int(step) - 1),
        learning_rate=None if learning_rate is None else float(learning_rate),
        momentum=float(settings.get("momentum", settings.get("b1", 0.0))),
        weight_decay=float(settings.get("weight_decay", 0.0)),
        metrics=_metrics(measured, metric_values),
        num_averaged=num_averaged(state.opt_state),
        squared_norm=float(measured.squared_norms.sum(dtype=np.float64)),
        abel=_as_dict(abel),
        plateau=_as_dict(plateau),
        noise=_as_dict(noise),
        layers=_by_name(layer_names, measured.squared_norms) if layer_names else None,
        norm_change=_change_by_name(layer_names, measured.train) if layer_names else None,
    )


def _metrics(
    measured: Measured, metric_values: Callable[[MetricSums], Mapping[str, Any]]
) -> dict[str, float | None]:
    """Returns the values of all metrics by their names in a row."""
    train = metric_values(measured.train.metrics)
    test = metric_values(measured.test)
    averaged = None if measured.averaged is None else metric_values(measured.averaged)
    return {
        **{f"train_{name}": float(value) for name, value in train.items()},
        **{f"test_{name}": float(value) for name, value in test.items()},
        **{
            f"averaged_test_{name}": None if averaged is None else float(averaged[name])
            for name in test
        },
    }


def _as_dict(states: list[Any]) -> dict[str, float] | None:
    """Returns the fields of the first state as Python numbers; None if there is no state."""
    return {name: value.item() for name, value in states[0]._asdict().items()} if states else None


def _by_name(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _change_by_name(
    names: tuple[str, ...], train: UpdateSums
) -> dict[str, dict[str, float]] | None:
    if train.norm_change is None:
        return None
    terms = train.norm_change._asdict().items()
    return {term: _by_name(names, np.asarray(values)) for term, values in terms}
