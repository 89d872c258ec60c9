"""Sets values of an experiment by name."""

import dataclasses
from typing import Any

from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.freeze import lr_name
from jaxsched.schedules import Constant, Schedule
from jaxsched.schedules.foreign_names import explain


def with_value(experiment: Experiment, name: str, value: Any) -> Experiment:
    """Returns the experiment with one value replaced.

    The value is named by one of these:

        weight_decay, momentum   replaces the optimizer's schedule by a constant
        lr                       the highest value of the learning rate's schedule: its `peak`, or
                                 its `value` if it is a `Constant`
        dropout                  the dropout rate of a network that has such a field
        batch_size               the batch size of an experiment with one phase
        model.width, …           the path of any other field of the experiment or its task, with
                                 numbers for the elements of a tuple: phases.0.epochs

    Args:
        experiment: the experiment to change.
        name: the value's name or path.
        value: the new value.

    Raises:
        ValueError: when the experiment has no such field; the message lists those that it has.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, with_value
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
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
        "lr": _with_peak_lr,
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
            f"{type(optimizer).__name__} with {sorted(schedules)}; give the path of one of these, "
            f"such as optimizer.{min(schedules, default='lr')}."
        )
    changed = optimizer.with_schedules({name: Constant(float(value))})
    return dataclasses.replace(experiment, optimizer=changed)


def _with_peak_lr(experiment: Experiment, name: str, value: float) -> Experiment:
    optimizer = experiment.optimizer
    lr = lr_name(optimizer)
    schedule: Any = optimizer.schedules()[lr]
    names = _field_names(schedule)
    highest = next((field for field in ("peak", "value") if field in names), None)
    # Other schedules, such as `Exponential`, have a `value` too: their first, not their highest.
    if highest is None or (highest == "value" and not isinstance(schedule, Constant)):
        raise ValueError(
            f"{name} sets the peak of a schedule, or the value of a Constant, got {schedule}; give "
            f"the path of the field instead, one of {[f'optimizer.{lr}.{n}' for n in names]}."
        )
    changed: Schedule = dataclasses.replace(schedule, **{highest: float(value)})
    return dataclasses.replace(experiment, optimizer=optimizer.with_schedules({lr: changed}))


def _with_dropout(experiment: Experiment, name: str, value: float) -> Experiment:
    model = getattr(experiment.task, "model", None)
    if name not in _field_names(model):
        raise ValueError(
            f"{name} needs a network with a field of that name, such as WideResNet, got "
            f"{type(model).__name__} with {_field_names(model)}."
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
    names = path.split(".")
    if names[0] in _field_names(experiment.task):  # they stand beside those of the experiment
        names = ["task", *names]
    return _replaced(experiment, names, value, path)


def _replaced(owner: Any, names: list[str], value: Any, path: str) -> Any:
    """Returns the owner rebuilt with a new value at the end of a path through its fields."""
    if not names:
        return value
    name, *rest = names
    if isinstance(owner, tuple):
        if not name.isdecimal() or int(name) >= len(owner):
            raise ValueError(
                f"{path}: expected an index within 0 … {len(owner) - 1} of a tuple, got {name!r}."
            )
        index = int(name)
        return (*owner[:index], _replaced(owner[index], rest, value, path), *owner[index + 1 :])
    if name not in _field_names(owner) and isinstance(owner, Schedule):
        raise ValueError(f"{path}: {explain(type(owner).__name__, name, _field_names(owner))}")
    if name not in _field_names(owner):
        raise ValueError(
            f"{path}: expected a field of {type(owner).__name__}, one of {_field_names(owner)}, "
            f"got {name!r}."
        )
    changed = _replaced(getattr(owner, name), rest, value, path)
    return dataclasses.replace(owner, **{name: changed})


def _field_names(owner: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
