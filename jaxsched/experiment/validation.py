"""Holds out training images for evaluation, so that tuning never uses the test images."""

import dataclasses
from typing import Any

from jaxsched.data import Source
from jaxsched.experiment.experiment import Experiment


def held_out(experiment: Experiment, share: float = 0.1) -> Experiment:
    """Returns the experiment evaluated on a share of its training images, if its source allows it.

    In a source that wraps another one (`Subset`, `Streamed`), the inner source holds out the
    images. A source that already holds out a share stays as it is, and so does one that cannot hold
    out any; a run's record says in `evaluated_on` which images its evaluations used.

    Args:
        experiment: an experiment that is evaluated on its test images.
        share: the share of the training images to hold out, in (0, 1).

    Raises:
        ValueError: when the share is outside [0, 1).

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Digits, Subset
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, held_out
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="part",
        ...     task=ImageClassification(model=R9, data=Subset(Digits(), num_train=500)),
        ...     phases=(js.Phase(epochs=10, batch_size=50),),
        ...     optimizer=js.SGD(0.1),
        ... )
        >>> held_out(experiment).task.data
        Subset(source=Digits(validation=0.1), num_train=500)
    """
    return experiment.with_task(data=_hold_out(experiment.task.data, share))


def _hold_out(source: Any, share: float) -> Any:
    if hasattr(source, "validation"):
        return source if source.validation else dataclasses.replace(source, validation=share)
    if isinstance(inner := getattr(source, "source", None), Source):
        return dataclasses.replace(source, source=_hold_out(inner, share))
    return source
