"""Values set on an experiment by name."""

import dataclasses
from typing import Any

from jaxsched.experiment import Experiment, lr_name
from jaxsched.schedules import Constant, Schedule


def with_value(experiment: Experiment, name: str, value: Any) -> Experiment:
    """The experiment with a value in place of its own.

    The names, which any other field's path can stand beside:

        weight_decay, momentum   a constant in place of the optimizer's schedule
        lr                       the highest value of the learning rate's schedule: its `peak`, or
                                 its `value` where it is a `Constant`
        dropout                  of a network that has such a field
        batch_size               of an experiment of one phase
        model.width, …           fields by their path, places in a tuple by number: phases.0.epochs

    Args:
        experiment: whose value is set.
        name: one of these.
        value: what the field takes.

    Raises:
        ValueError: when the experiment has no such field, with those that it has.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.experiment import with_value
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     model=R9,
        ...     data=Synthetic(),
        ...     phases=(js.Phase(epochs=10, batch_size=250),),
        ...     optimizer=js.SGD(js.OneCycle(0.5, duration="100%"), momentum=0.9),
        ... )
        >>> with_value(experiment, "lr", 0.25).optimizer.lr.peak
        0.25
        >>> with_value(experiment, "phases.0.epochs", 3).phases
        (Phase(epochs=3, batch_size=250),)
    """
    setters = {
        "weight_decay": _with_constant,
        "momentum": _with_constant,
        "lr": _with_highest_rate,
        "dropout": _with_dropout,
        "batch_size": _with_batch_size,
    }
    setter = setters.get(name, _with_field)
    return setter(experiment, name, value)


def _with_constant(experiment: Experiment, name: str, value: float) -> Experiment:
    optimizer = experiment.optimizer
    schedules = optimizer.schedules()
    if name not in schedules:
        raise ValueError(
            f"{name} needs an optimizer with a schedule of that name, got "
            f"{type(optimizer).__name__} with {sorted(schedules)}; name one of these by its path, "
            f"such as optimizer.{min(schedules, default='lr')}."
        )
    changed = optimizer.with_schedules({name: Constant(float(value))})
    return dataclasses.replace(experiment, optimizer=changed)


def _with_highest_rate(experiment: Experiment, name: str, value: float) -> Experiment:
    optimizer = experiment.optimizer
    rate = lr_name(optimizer)
    schedule: Any = optimizer.schedules()[rate]
    names = _field_names(schedule)
    highest = next((field for field in ("peak", "value") if field in names), None)
    # The first value of a decay that is not its highest is no `value` to set.
    if highest is None or (highest == "value" and not isinstance(schedule, Constant)):
        raise ValueError(
            f"{name} sets the peak of a schedule, or the value of a Constant, got {schedule}; give "
            f"the path of what you mean, one of {[f'optimizer.{rate}.{n}' for n in names]}."
        )
    changed: Schedule = dataclasses.replace(schedule, **{highest: float(value)})
    return dataclasses.replace(experiment, optimizer=optimizer.with_schedules({rate: changed}))


def _with_dropout(experiment: Experiment, name: str, value: float) -> Experiment:
    if name not in _field_names(experiment.model):
        raise ValueError(
            f"{name} needs a network with a field of that name, such as WideResNet, got "
            f"{type(experiment.model).__name__} with {_field_names(experiment.model)}."
        )
    return _with_field(experiment, f"model.{name}", float(value))


def _with_batch_size(experiment: Experiment, name: str, value: int) -> Experiment:
    if len(experiment.phases) != 1:
        raise ValueError(
            f"{name} needs an experiment of one phase, got {len(experiment.phases)}; give the path "
            "of one of them, such as phases.0.batch_size."
        )
    return _with_field(experiment, f"phases.0.{name}", value)


def _with_field(experiment: Experiment, path: str, value: Any) -> Experiment:
    return _replaced(experiment, path.split("."), value, path)


def _replaced(owner: Any, names: list[str], value: Any, path: str) -> Any:
    """The owner, rebuilt with a value at the end of a path through its fields."""
    if not names:
        return value
    name, *rest = names
    if isinstance(owner, tuple):
        if not name.isdecimal() or int(name) >= len(owner):
            raise ValueError(
                f"{path}: expected a place within 0 … {len(owner) - 1} of a tuple, got {name!r}."
            )
        place = int(name)
        return (*owner[:place], _replaced(owner[place], rest, value, path), *owner[place + 1 :])
    if name not in _field_names(owner):
        raise ValueError(
            f"{path}: expected a field of {type(owner).__name__}, one of {_field_names(owner)}, "
            f"got {name!r}."
        )
    changed = _replaced(getattr(owner, name), rest, value, path)
    return dataclasses.replace(owner, **{name: changed})


def _field_names(owner: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
