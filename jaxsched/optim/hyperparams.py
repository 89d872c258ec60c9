"""Reads the hyper-parameters that an optimizer's state holds."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from optax import InjectStatefulHyperparamsState

from jaxsched.transforms import ScaleByAbelState, ScaleByPlateauState
from jaxsched.transforms.base import find_states


def hyperparams(opt_state: optax.OptState) -> dict[str, jax.Array]:
    """The hyper-parameters that the update which made this state used, by name.

    Found wherever `optax.inject_hyperparams` keeps them, in any chain, however nested; the scales
    of `scale_by_abel` and `scale_by_plateau`, which multiply the learning rate, are `abel_scale`
    and `plateau_scale`. A fresh state holds those of the first update.

    Args:
        opt_state: the state of any Optax optimizer.

    Returns:
        Values such as `learning_rate`, `momentum` and `weight_decay`, each f32[].

    Raises:
        ValueError: when one name is found twice (two groups of parameters, say); give it the part
            of the state that you mean.

    Example:
        >>> import optax, jaxsched as js
        >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=js.Cosine(0.5, 10))
        >>> float(js.hyperparams(tx.init(0.0))["learning_rate"])
        0.5
    """
    found: dict[str, jax.Array] = {}
    for name, value in _settings(opt_state):
        if name in found:
            raise ValueError(
                f"hyperparams expects each name once in the state, got {name!r} twice; "
                "give it the part of the state that you mean."
            )
        found[name] = jnp.asarray(value)
    return found


def learning_rate_in_force(hyperparameters: Mapping[str, Any]) -> Any:
    """The scheduled learning rate times all that scales it; None for an optimizer without one.

    Args:
        hyperparameters: what `hyperparams` found.

    Example:
        >>> from jaxsched.optim.hyperparams import learning_rate_in_force
        >>> learning_rate_in_force({"learning_rate": 0.5, "momentum": 0.9, "abel_scale": 0.5})
        0.25
    """
    if "learning_rate" not in hyperparameters:
        return None
    factors = ("learning_rate", "abel_scale", "plateau_scale")
    return math.prod(hyperparameters[name] for name in factors if name in hyperparameters)


def _settings(opt_state: optax.OptState) -> Iterator[tuple[str, ArrayLike]]:
    """Name and value of every hyper-parameter in the state."""
    for injected in _injected_states(opt_state):
        yield from injected.hyperparams.items()
    for abel in find_states(opt_state, ScaleByAbelState):
        yield "abel_scale", abel.scale
    for plateau in find_states(opt_state, ScaleByPlateauState):
        yield "plateau_scale", plateau.scale


def _injected_states(opt_state: Any) -> Iterator[InjectStatefulHyperparamsState]:
    """Every state of an `inject_hyperparams`, outer before inner."""

    for state in find_states(opt_state, InjectStatefulHyperparamsState):
        yield state
        yield from _injected_states(state.inner_state)
