"""Makes an experiment again from its description in a record or a checkpoint."""

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Union

import numpy as np

from jaxsched.batch_size.growth import Growth
from jaxsched.data import Dataset
from jaxsched.experiment.diff import differences
from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.serialize import describe, nested
from jaxsched.optim.optimizers import Optimizer

_UNIONS = (Union, types.UnionType)


def rebuild(description: Mapping[str, Any]) -> Experiment:
    """Returns the experiment that `describe` made this description of.

    A description names classes and functions. They are looked up among what the process has
    imported: nothing is imported, and nothing of the file is run as code. So a network or a task of
    your own has to be imported first.

    Args:
        description: JSON such as a record's `config` or a checkpoint's `experiment`.

    Raises:
        ValueError: when a class or function is not imported, or the experiment made is not the one
            that was described, as after its class has changed; names what differs.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, describe, rebuild
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=10, batch_size=250),),
        ...     optimizer=js.SGD(js.OneCycle(0.5, duration="100%"), momentum=0.9),
        ... )
        >>> rebuild(describe(experiment)) == experiment
        True
    """
    fields = {name: value for name, value in description.items() if name != "type"}
    experiment = _dataclass(Experiment, fields, "")
    if changes := description_changes(description, experiment):
        raise ValueError(
            f"the experiment cannot be made again from its description, because {changes}; give "
            "it as experiment=…."
        )
    return experiment


def description_changes(description: Mapping[str, Any], experiment: Experiment) -> str:
    """Returns in which fields an experiment differs from a description; "" if in none.

    A field that the description lacks came later, and does not count.
    """
    made = _as_far_as(description, describe(experiment))
    return "; ".join(differences(description, made))


def describe_dataset(dataset: Dataset) -> dict[str, Any] | None:
    """Returns the description of a data set without its examples, for `rebuild_dataset`.

    None for a data set of your own with a field that cannot be written as JSON.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.experiment.from_description import describe_dataset, rebuild_dataset
        >>> dataset = Synthetic(num_train=20, num_classes=3).load()
        >>> rebuild_dataset(describe_dataset(dataset)).class_names == dataset.class_names
        True
    """
    described = describe(dataset.without_examples())
    try:
        json.dumps(described)
    except TypeError:
        return None
    return described


def rebuild_optimizer(description: Mapping[str, Any]) -> Optimizer:
    """Returns the optimizer of an experiment's description, whatever else the experiment needs.

    A task of your own need not be imported.

    Args:
        description: see `rebuild`.

    Raises:
        ValueError: if the description has no optimizer, or it cannot be made again; see `rebuild`.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.experiment import describe
        >>> from jaxsched.experiment.from_description import rebuild_optimizer
        >>> rebuild_optimizer({"optimizer": describe(js.Adam(js.Cosine(0.001, 10)))}).lr
        Cosine(peak=0.001, duration=10, end=0.0)
    """
    if not isinstance(described := description.get("optimizer"), Mapping):
        raise ValueError(f"expected the description of an optimizer, got {described!r:.40}.")
    return _made(described, Optimizer, "optimizer")


def rebuild_growth(description: Mapping[str, Any]) -> Growth | None:
    """Returns the rule by which the batch of a described experiment grows; None if it has none.

    Raises:
        ValueError: see `rebuild`.
    """
    return _made(description.get("batch_growth"), Growth | None, "batch_growth")


def rebuild_dataset(description: Mapping[str, Any]) -> Dataset:
    """Returns the data set without its examples that `describe_dataset` described.

    Raises:
        ValueError: see `rebuild`.
    """
    return _made(description, Dataset, "dataset")


def _as_far_as(described: Any, made: Any) -> Any:
    """Returns a description without the fields that the other has not.

    A field that came later has its default in what is made again.
    """
    if isinstance(described, Mapping) and isinstance(made, Mapping):
        return {name: _as_far_as(described[name], made[name]) for name in made if name in described}
    if isinstance(described, list) and isinstance(made, list) and len(described) == len(made):
        return [_as_far_as(*pair) for pair in zip(described, made, strict=True)]
    return made


def _dataclass(cls: type, fields: Mapping[str, Any], path: str) -> Any:
    """Makes a dataclass of the descriptions of its fields; of those it has no more it says so."""
    hints, fields = typing.get_type_hints(cls), nested(cls, fields)
    known = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(
            f"{path or 'the experiment'}: {cls.__name__} has no field {unknown[0]!r} any more, "
            f"only {', '.join(known)}; give the experiment as experiment=…."
        )
    made = {
        name: _made(value, hints.get(name, Any), _path(path, known[name]))
        for name, value in fields.items()
    }
    return cls(**made)


def _path(path: str, field: dataclasses.Field) -> str:
    """The path of a field in the description, where a flat one adds nothing to it."""
    name = "" if field.metadata.get("described") == "flat" else field.name
    return f"{path}.{name}".strip(".")


def _made(value: Any, annotation: Any, path: str) -> Any:
    """Makes a value of its description, with the help of the type that belongs there."""
    kinds = _alternatives(annotation)
    if isinstance(value, dict):
        if isinstance(name := value.get("type"), str):
            fields = {key: part for key, part in value.items() if key != "type"}
            return _dataclass(_class_named(name, kinds, path), fields, path)
        inner = next((typing.get_args(kind) for kind in kinds if _is_mapping(kind)), ())
        kind = inner[1] if inner else Any
        return {key: _made(part, kind, f"{path}.{key}") for key, part in value.items()}
    if isinstance(value, list):
        return _sequence(value, kinds, path)
    if isinstance(value, str) and not _is_text(value, kinds):
        if value in ("inf", "-inf", "nan") and (float in kinds or Any in kinds):
            return float(value)
        if ":" in value:
            return _function_named(value, path)
    return value


def _sequence(values: list[Any], kinds: tuple[Any, ...], path: str) -> Any:
    """A tuple, which a list in an experiment becomes, too, or an array."""
    inner = next((typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is tuple), ())
    if np.ndarray in kinds and not inner:
        return np.array(values)
    if not inner or inner[1:] == (...,):
        types_ = [inner[0] if inner else Any] * len(values)
    else:
        types_ = [*inner, *[Any] * len(values)][: len(values)]
    return tuple(
        _made(value, kind, f"{path}.{index}")
        for index, (value, kind) in enumerate(zip(values, types_, strict=True))
    )


def _is_text(value: str, kinds: tuple[Any, ...]) -> bool:
    """Whether the type says that this is a text, and not a number or a function written as one."""
    literals = [typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is Literal]
    return str in kinds or any(value in choices for choices in literals)


def _is_mapping(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(annotation) in _UNIONS
    return typing.get_args(annotation) if is_union else (annotation,)


def _class_named(name: str, kinds: tuple[Any, ...], path: str) -> type:
    """Returns the imported dataclass of this name that may stand where one of these kinds may."""
    # `Any` is a class itself, with nothing below it.
    bases = [kind if isinstance(kind, type) and kind is not Any else object for kind in kinds]
    found = [cls for base in bases for cls in _below(base) if cls.__name__ == name]
    # A module that was run twice has made the class twice; the last one is what its name means.
    places = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in found}
    if len(places) != 1:
        got = "none" if not places else f"several: {', '.join(places)}"
        raise ValueError(
            f"{path}: expected one imported dataclass {name}, got {got}; import the module that "
            "defines it, or give the experiment as experiment=…."
        )
    (cls,) = places.values()
    return cls


def _below(base: type) -> Iterator[type]:
    """Yields the dataclasses among a class and the imported ones below it."""
    left, seen = [base], set()
    while left:
        cls = left.pop()
        if cls not in seen:
            seen.add(cls)
            left += type.__subclasses__(cls)
            if "__dataclass_fields__" in vars(cls):
                yield cls


def _function_named(described: str, path: str) -> Callable[..., Any]:
    """Returns the function `module:name@digest` if its module is imported."""
    module_name, _, name = described.partition("@")[0].partition(":")
    found: Any = sys.modules.get(module_name)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ValueError(
            f"{path}: expected the function {name} of the imported module {module_name}, got "
            "none; import the module, or give the experiment as experiment=…."
        )
    return found
