"""The result of `fit`."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jaxsched.data import Dataset
from jaxsched.data.sources.arrays import checked_inputs
from jaxsched.experiment import Experiment
from jaxsched.models import Variables
from jaxsched.train import Evaluation
from jaxsched.train.prediction import Predictor


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained module: what was measured, its weights, and its predictions.

    Attributes:
        status: "finished", "stopped" when a rule for early stopping ended the run, or "diverged"
            when a loss or the norm of the weights was not finite.
        reason: why it did not finish, in words; "" if it did.
        rows: all evaluations.
        variables: the trained weights in nested dicts of NumPy arrays: "params", and "batch_stats"
            or {}. `module.apply(variables, x)` takes those of a Linen module.
        averaged: the same of the weights' average with statistics of its own; None without one.
        module: the Linen module as it was given, or an NNX module with the trained weights, which
            evaluates.
        experiment: what was run.
        record: the path of the run's record; None without a `workdir`.
    """

    status: Literal["finished", "stopped", "diverged"]
    reason: str
    rows: tuple[Evaluation, ...] = field(repr=False)
    variables: Variables = field(repr=False)
    averaged: Variables | None = field(repr=False)
    module: Any = field(repr=False)
    experiment: Experiment = field(repr=False)
    record: Path | None
    _dataset: Dataset = field(repr=False)

    def predict(self, *inputs: Any, averaged: bool = False) -> Any:
        """Returns the module's outputs for new inputs, as NumPy arrays.

        Args:
            *inputs: what stood before the targets in training, each [N, …]; any N.
            averaged: whether to use the average of the weights.

        Raises:
            ValueError: when the inputs are not like those of training, or there is no average.
        """
        if averaged and self.averaged is None:
            raise ValueError(
                "predict needs an average of the weights for averaged=True; give the optimizer "
                'averaging=js.Averaging(start="75%").'
            )
        arrays = checked_inputs(inputs, self._dataset.train.elements)
        variables = self.averaged if averaged else self.variables
        assert variables is not None
        return self._predictor(variables, arrays)

    @functools.cached_property
    def _predictor(self) -> Predictor:
        task = self.experiment.task.build(self._dataset)
        return Predictor(task, self._dataset.train.elements, self.experiment.precision)
