"""Tries the functions that a user gave to an experiment, before anything compiles."""

import contextlib
from collections.abc import Iterator
from typing import Any

from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Plan


def require_computable(experiment: Experiment, plan: Plan) -> None:
    """Refuses an optimizer that cannot be built, or a schedule that fails at its first update.

    A schedule may be any function and an optimizer any factory, whose own errors would come out of
    the middle of a compilation.

    Raises:
        ValueError: names the schedule or the optimizer, with the error.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, require_computable
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="odd",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=10, batch_size=250),),
        ...     optimizer=js.SGD(lambda epoch: 1 / 0),
        ... )
        >>> try:
        ...     require_computable(experiment, experiment.plan(num_examples=1000))
        ... except ValueError as error:
        ...     print(str(error).partition(";")[0])
        the schedule lr cannot be computed: ZeroDivisionError: division by zero
    """
    optimizer = experiment.optimizer
    for name, schedule in optimizer.schedules().items():
        with _named(f"the schedule {name} cannot be computed", schedule):
            float(plan.in_updates(schedule)(0))
    with _named("the optimizer cannot be built", optimizer):
        optimizer.transformation(plan, experiment.evaluation_marks(plan.num_examples))


@contextlib.contextmanager
def _named(what: str, culprit: Any) -> Iterator[None]:
    """Says which function an error comes from; it may be one of ours."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    except Exception as error:
        raise ValueError(f"{what}: {type(error).__name__}: {error}; correct {culprit}.") from error
