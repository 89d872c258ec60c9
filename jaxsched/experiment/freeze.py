"""Holds an experiment's hyper-parameters constant, for short runs that vary one thing."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.preview import Preview
from jaxsched.optim.optimizers import Optimizer
from jaxsched.plan import Plan
from jaxsched.schedules import Constant


def hyperparams_at_peak_lr(experiment: Experiment, plan: Plan) -> dict[str, float]:
    """Returns every scheduled hyper-parameter at the update with the highest learning rate.

    Raises:
        ValueError: when none of the optimizer's schedules is known to be the learning rate.
    """
    curves = Preview.of(experiment, plan).curves
    curve = curves[lr_name(experiment.optimizer)]
    # By way of float32's own digits, so that its 0.1 becomes 0.1 and not 0.10000000149.
    return {name: float(str(np.float32(c[curve.argmax()]))) for name, c in curves.items()}


def lr_name(optimizer: Optimizer) -> str:
    """Returns the name of the schedule that is the learning rate.

    Raises:
        ValueError: when none of the schedules is known to be the learning rate.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.experiment import lr_name
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
    """Returns the optimizer with constants for schedules and no stateful transformations.

    Args:
        optimizer: the optimizer.
        values: the constant of each of its schedules, by name.
    """
    constants = {name: Constant(values[name]) for name in optimizer.schedules()}
    return without_stateful(optimizer).with_schedules(constants)


def without_stateful(optimizer: Optimizer) -> Optimizer:
    """Returns the optimizer without noise estimate, ABEL, plateau and averaging.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.experiment import without_stateful
        >>> without_stateful(js.SGD(0.1, abel=js.Abel(0.2))) == js.SGD(0.1)
        True
    """
    return dataclasses.replace(optimizer, noise=None, abel=None, plateau=None, averaging=None)
