"""Finds what of an experiment's times does not fit its run, or each other."""

from typing import Any

from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule

# The fields of a momentum's cycle that have to be those of the learning rate's.
_SHARED = ("duration", "rise", "three_phase", "up", "down")


def misfits(experiment: Experiment, plan: Plan) -> tuple[str, ...]:
    """Returns sentences on the times of an experiment that look like a mistake.

    Such times may be meant, so they are said and not refused: a schedule that goes on long after
    the run or ends long before it, as with updates given for epochs; a momentum that follows
    another cycle than the learning rate; evaluations farther apart than the run is long.

    Args:
        experiment: the experiment.
        plan: its plan.

    Raises:
        ValueError: when a time cannot be meant, see `Plan.resolve`.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, misfits
        >>> from jaxsched.tasks import ImageClassification
        >>> cycle = js.OneCycle(0.5, duration=10)
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=10, batch_size=250),),
        ...     optimizer=js.SGD(cycle, momentum=js.OneCycle(0.5, duration=8).momentum()),
        ... )
        >>> misfits(experiment, experiment.plan(num_examples=1000))
        ('momentum follows another cycle than lr: duration 8 instead of 10; change both.',)
    """
    schedules = {n: plan.resolve(s) for n, s in experiment.optimizer.schedules().items()}
    found = [
        f"{name}: {sentence}"
        for name, schedule in schedules.items()
        for sentence in plan.misfits(schedule)
    ]
    found += _momentum_apart(schedules)
    if experiment.evaluate_every > plan.total_epochs:
        found.append(
            f"evaluate_every: {experiment.evaluate_every:g} epochs are more than the "
            f"{plan.total_epochs:g} of the run, which is evaluated at its end alone."
        )
    return tuple(found)


def _momentum_apart(schedules: dict[str, Schedule]) -> list[str]:
    """Says that the momentum's cycle is not that of the learning rate beside it."""
    lr = next((name for name in ("lr", "learning_rate") if name in schedules), None)
    name = next((name for name in ("momentum", "b1") if name in schedules), None)
    make: Any = getattr(schedules.get(lr or ""), "momentum", None)
    if name is None or make is None:
        return []
    momentum, twin = schedules[name], make()
    if type(momentum) is not type(twin):
        return []
    differing = [
        f"{field} {_text(getattr(momentum, field))} instead of {_text(getattr(twin, field))}"
        for field in _SHARED
        if getattr(momentum, field, None) != getattr(twin, field, None)
    ]
    sentence = f"{name} follows another cycle than {lr}: {', '.join(differing)}; change both."
    return [sentence] if differing else []


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
