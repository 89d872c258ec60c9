"""An experiment's hyper-parameters held still, for short runs that look at one thing."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.preview import Preview
from jaxsched.optim.optimizers import Optimizer
from jaxsched.plan import Plan
from jaxsched.schedules import Constant


def hyperparams_at_peak_lr(experiment: Experiment, plan: Plan) -> dict[str, float]:
    """Every scheduled hyper-parameter at the update with the highest learning rate.

    Raises:
        ValueError: when the optimizer has no learning rate that is known.
    """
    curves = Preview.of(experiment, plan).curves
    curve = curves[lr_name(experiment.optimizer)]
    # To the digits of float32, so that 0.1 is not 0.10000000149.
    return {name: float(str(np.float32(c[curve.argmax()]))) for name, c in curves.items()}


def lr_name(optimizer: Optimizer) -> str:
    """The name of the schedule that is the learning rate.

    Raises:
        ValueError: when none is known as such.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.experiment.freeze import lr_name
        >>> lr_name(js.SGD(0.1))
        'lr'
    """
    names = optimizer.schedules()
    found = next((name for name in ("lr", "learning_rate") if name in names), None)
    if found is None:
        raise ValueError(
            "expected a schedule 'lr' or 'learning_rate' in the optimizer, got "
            f"{sorted(names)}; give the learning rate as a schedule, such as Constant(0.1)."
        )
    return found


def freeze_hyperparams(optimizer: Optimizer, values: Mapping[str, float]) -> Optimizer:
    """The optimizer with constants for schedules and without a memory of its own."""
    constants = {name: Constant(values[name]) for name in optimizer.schedules()}
    bare = dataclasses.replace(optimizer, noise=None, abel=None, plateau=None, averaging=None)
    return bare.with_schedules(constants)
