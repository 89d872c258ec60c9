"""Makes an experiment of what the user passes to `fit`, or says what to pass."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from jaxsched.data import Arrays, Source
from jaxsched.data.sources.batches import arrays_of_batches
from jaxsched.experiment import Experiment
from jaxsched.models import LinenModule
from jaxsched.optim.optax_chain import as_optimizer
from jaxsched.plan import Phase
from jaxsched.tasks import CrossEntropy, Loss, MeanSquaredError, OwnLoss, Supervised
from jaxsched.tracking import load

_LOSSES = {"cross_entropy": CrossEntropy(), "mean_squared_error": MeanSquaredError()}
_HELD_OUT = 0.1  # of the training examples, where nothing is given to evaluate on


def experiment_of(
    *,
    model: Any,
    train: Any,
    test: Any,
    loss: Any,
    optimizer: Any,
    epochs: Any,
    batch_size: Any,
    phases: Any,
    metrics: Any,
    augment: Any,
    seed: Any,
    settings: Mapping[str, Any],
) -> Experiment:
    """Returns the experiment; see `fit` for the arguments.

    Raises:
        ValueError: for what cannot be meant; says what to write.
    """
    _require_settings(settings)
    optimizer = as_optimizer("fit", optimizer)
    task = Supervised(
        model=model,
        data=_source(train, test),
        loss=_loss(loss),
        own_metrics=metrics,
        augment=augment,
    )
    experiment = Experiment(
        task=task,
        optimizer=optimizer,
        phases=_phases(epochs, batch_size) if phases is None else phases,
        seed=seed,
        **{"name": "fit", **settings},
    )
    return _with_batch_group(experiment)


def _with_batch_group(experiment: Experiment) -> Experiment:
    """Tries the task on the data's shapes; says of a module without batch norm that it has none."""
    task: Any = experiment.task
    functions = task.build(load(task.data), dtype=experiment.precision)
    variables = jax.eval_shape(functions.init, jax.random.key(0))
    if not isinstance(task.model, LinenModule) or variables["batch_stats"]:
        return experiment
    return experiment.with_task(model=dataclasses.replace(task.model, batch_group=1))


def _require_settings(settings: Mapping[str, Any]) -> None:
    known = [f.name for f in dataclasses.fields(Experiment)]
    known = [name for name in known if name not in ("task", "phases", "optimizer", "seed")]
    for name, value in settings.items():
        if name not in known:
            fix = f"one of {', '.join(known)}"
            if name in ("lr", "learning_rate"):
                fix = f"optimizer=js.SGD({value!r}, momentum=0.9), or js.Adam({value!r})"
            raise ValueError(f"fit takes no {name}, got {name}={value!r}; write {fix}.")


def _phases(epochs: Any, batch_size: Any) -> tuple[Phase, ...]:
    for name, value in {"epochs": epochs, "batch_size": batch_size}.items():
        if isinstance(value, str) or not np.isscalar(value):
            raise ValueError(f"fit needs {name} as a number, got {name}={value!r}.")
    return (Phase(epochs, batch_size),)


def _loss(value: Any) -> Loss:
    if isinstance(value, Loss):
        return value
    if isinstance(value, str) and value in _LOSSES:
        return _LOSSES[value]
    if isinstance(value, type) and issubclass(value, Loss):
        raise ValueError(f"fit needs a loss, got the class {value.__name__}; write it with ().")
    if callable(value):
        return OwnLoss(value)
    raise ValueError(
        f"fit needs loss as one of {', '.join(map(repr, _LOSSES))} or a function (outputs, "
        f"targets) -> the loss of each example, got {value!r}."
    )


def _source(train: Any, test: Any) -> Source:
    if isinstance(train, Source):
        if test is not None:
            raise ValueError(
                f"fit needs test=None with a source, which has examples to evaluate on, got "
                f"train={train} and a test."
            )
        return train
    arrays = _arrays("train", train)
    if test is None or (np.isscalar(test) and not isinstance(test, str)):
        share: Any = _HELD_OUT if test is None else test
        if not 0 < share < 1:
            raise ValueError(
                "fit needs test as examples (x, y), or as a share of train within (0, 1), got "
                f"test={test}."
            )
        return Arrays(arrays, validation=share)
    return Arrays(arrays, _arrays("test", test))


def _arrays(name: str, value: Any) -> tuple[Any, ...]:
    """The arrays of a split, given as a tuple of them or as batches."""
    if isinstance(value, tuple) and not all(isinstance(part, tuple) for part in value):
        return value
    is_batches = isinstance(value, Iterable) and not hasattr(value, "dtype")
    if callable(value) or (is_batches and not isinstance(value, str | bytes | Mapping)):
        batches: Any = value
        return arrays_of_batches(name, batches)
    shown = f"{value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
    fix = f"a source such as Cifar10(folder) or Tfds({value!r}) of jaxsched.data"
    fix = fix if isinstance(value, str) else "both"
    raise ValueError(
        f"fit needs {name} as inputs and targets, {name}=(x, y), or an iterable of such batches, "
        f"got {shown}; give {fix}."
    )
