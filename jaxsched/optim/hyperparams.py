"""Reads the hyper-parameters in an optimizer's state."""

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
    """Returns the hyper-parameters that the update which made this state used, by name.

    They are found wherever `optax.inject_hyperparams` keeps them, in any chain, however nested. The
    scales of `scale_by_abel` and `scale_by_plateau`, which multiply the learning rate, are called
    `abel_scale` and `plateau_scale`. A fresh state holds the values of the first update.

    Args:
        opt_state: the state of any Optax optimizer.

    Returns:
        Values such as `learning_rate`, `momentum` and `weight_decay`, each f32[].

    Raises:
        ValueError: if a name is found twice, for instance for two groups of parameters; pass the
            part of the state that you mean.

    Example:
        >>> import optax, jaxsched as js
        >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=js.Cosine(0.5, 10))
        >>> float(js.hyperparams(tx.init(0.0))["learning_rate"])
        0.5
    """
    found: dict[str, jax.Array] = {}
    for name, value in _named_values(opt_state):
        if name in found:
            raise ValueError(
                f"hyperparams expects each name once in the state, got {name!r} twice; "
                "give it the part of the state that you mean."
            )
        found[name] = jnp.asarray(value)
    return found


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


def _named_values(opt_state: optax.OptState) -> Iterator[tuple[str, ArrayLike]]:
    """Yields the name and value of every hyper-parameter in the state."""
    for state in _injected_states(opt_state):
        yield from state.hyperparams.items()
    for abel in find_states(opt_state, ScaleByAbelState):
        yield "abel_scale", abel.scale
    for plateau in find_states(opt_state, ScaleByPlateauState):
        yield "plateau_scale", plateau.scale


def _injected_states(opt_state: Any) -> Iterator[InjectStatefulHyperparamsState]:
    """Yields every state of an `inject_hyperparams`, outer before inner."""
    for state in find_states(opt_state, InjectStatefulHyperparamsState):
        yield state
        yield from _injected_states(state.inner_state)
