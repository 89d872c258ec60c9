"""Reads the hyper-parameters in an optimizer's state."""

import math
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import InjectStatefulHyperparamsState
from optax.transforms import PartitionState

from jaxsched.transforms import ScaleByAbelState, ScaleByPlateauState

_HOLDERS = InjectStatefulHyperparamsState | ScaleByAbelState | ScaleByPlateauState
_NODES = _HOLDERS | PartitionState


def hyperparams(opt_state: optax.OptState) -> dict[str, Any]:
    """Returns the hyper-parameters that the update which made this state used, by name.

    They are found wherever `optax.inject_hyperparams` keeps them, in any chain, however nested, and
    so in the state of `SGD`, `Adam`, `AdamW` and `FromOptax`. The scales of `scale_by_abel` and
    `scale_by_plateau`, which multiply the learning rate, are called `abel_scale` and
    `plateau_scale`. A fresh state holds the values of the first update.

    Where `optax.partition` has several groups of parameters with hyper-parameters, there is a
    dictionary of them for each group, by its label: `hyperparams(state)["head"]["learning_rate"]`.

    Args:
        opt_state: the state of any Optax optimizer, or a Flax `nnx.Optimizer`.

    Returns:
        Values such as `learning_rate`, `momentum` and `weight_decay`, each f32[].

    Raises:
        ValueError: if the state holds no hyper-parameters, or one name is found twice without
            labels that tell them apart; pass the part of the state that you mean.

    Example:
        >>> import optax, jaxsched as js
        >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=js.Cosine(0.5, 10))
        >>> float(js.hyperparams(tx.init(0.0))["learning_rate"])
        0.5
    """
    if not _nodes(opt_state, _HOLDERS):
        raise ValueError(
            "hyperparams expects the state of an optimizer that keeps its hyper-parameters there, "
            f"got {type(opt_state).__name__} without any; build the optimizer by "
            "optax.inject_hyperparams(optax.sgd)(learning_rate=…) or jaxsched.SGD(…), or evaluate "
            "its schedule at the update count."
        )
    return _collect(opt_state)


def known_hyperparams(opt_state: optax.OptState) -> dict[str, Any]:
    """Returns what `hyperparams` does; {} for the state of an optimizer of which it cannot tell.

    Example:
        >>> import optax
        >>> from jaxsched.optim.hyperparams import known_hyperparams
        >>> known_hyperparams(optax.sgd(0.1).init(0.0))
        {}
    """
    try:
        return _collect(opt_state)
    except ValueError:  # one name twice
        return {}


def scaled_learning_rate(hyperparameters: Mapping[str, Any]) -> Any:
    """Returns the scheduled learning rate times all scales; None for an optimizer without one.

    Args:
        hyperparameters: the result of `hyperparams`.

    Example:
        >>> from jaxsched.optim.hyperparams import scaled_learning_rate
        >>> scaled_learning_rate({"learning_rate": 0.5, "momentum": 0.9, "abel_scale": 0.5})
        0.25
    """
    if "learning_rate" not in hyperparameters:
        return None
    factors = ("learning_rate", "abel_scale", "plateau_scale")
    return math.prod(hyperparameters[name] for name in factors if name in hyperparameters)


def _collect(opt_state: Any) -> dict[Any, Any]:
    """Returns the hyper-parameters of a state by name, and those of several groups by label."""
    found: dict[Any, Any] = {}
    for name, value in _named_values(opt_state):
        if name in found:
            raise ValueError(
                f"hyperparams expects each name once in the state, got {name!r} twice; "
                "give it the part of the state that you mean."
            )
        found[name] = value
    return found


def _named_values(opt_state: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the name and value of every hyper-parameter, outer before inner."""
    for node in _nodes(opt_state, _NODES):
        match node:
            case InjectStatefulHyperparamsState():
                for name, value in node.hyperparams.items():
                    yield name, jnp.asarray(value)
                yield from _named_values(node.inner_state)
            case ScaleByAbelState():
                yield "abel_scale", jnp.asarray(node.scale)
            case ScaleByPlateauState():
                yield "plateau_scale", jnp.asarray(node.scale)
            case PartitionState():
                groups = {label: _collect(state) for label, state in node.inner_states.items()}
                groups = {label: found for label, found in groups.items() if found}
                # One group alone is the trained part of a model whose rest is frozen.
                yield from (groups if len(groups) > 1 else next(iter(groups.values()), {})).items()


def _nodes(opt_state: Any, kinds: UnionType) -> list[Any]:
    """Returns the outermost nodes of these classes in a state."""

    def is_node(node: object) -> bool:
        return isinstance(node, kinds)

    return [node for node in jax.tree.leaves(opt_state, is_leaf=is_node) if is_node(node)]
