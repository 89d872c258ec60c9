"""Training images held out to judge by, so that tuning never looks at the test images."""

import dataclasses
from typing import Any

from jaxsched.data import Source
from jaxsched.experiment import Experiment


def held_out(experiment: Experiment, share: float = 0.1) -> Experiment:
    """The experiment evaluated on a share of its training images, where its source can do that.

    A source within another one (`Subset`, `Streamed`) is looked into. One that holds out a share
    already stays as it is, and so does one that cannot: the record of a run says by `evaluated_on`
    what it was judged on.

    Args:
        experiment: that is evaluated on its test images.
        share: of the training images, in (0, 1).

    Raises:
        ValueError: when the share is outside [0, 1).

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Digits, Subset
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.experiment import held_out
        >>> experiment = Experiment(
        ...     name="part",
        ...     model=R9,
        ...     data=Subset(Digits(), num_train=500),
        ...     phases=(js.Phase(epochs=10, batch_size=50),),
        ...     optimizer=js.SGD(0.1),
        ... )
        >>> held_out(experiment).data
        Subset(source=Digits(validation=0.1), num_train=500)
    """
    return dataclasses.replace(experiment, data=_holding_out(experiment.data, share))


def _holding_out(source: Any, share: float) -> Any:
    if hasattr(source, "validation"):
        return source if source.validation else dataclasses.replace(source, validation=share)
    if isinstance(within := getattr(source, "source", None), Source):
        return dataclasses.replace(source, source=_holding_out(within, share))
    return source
