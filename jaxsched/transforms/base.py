"""Helpers of the transformations: argument checks, norms, and finding a state in a chain."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from jaxsched.plan.clock import TimeFunction

State = TypeVar("State")


def require_predicate(at: TimeFunction, name: str) -> None:
    """Raises `ValueError` if `at` is a number of updates instead of a predicate over them."""
    if not callable(at):
        raise ValueError(
            f"{name} needs at to be a predicate over the update count, got at={at!r}; "
            f"for every {at} updates use jaxsched.every({at})."
        )


def require_params(params: optax.Params | None, name: str) -> optax.Params:
    """Returns the parameters; raises `ValueError` if an update was not given them."""
    if params is None:
        raise ValueError(
            f"{name} needs the current parameters, got params=None; "
            "call tx.update(updates, state, params)."
        )
    return params


def scale_updates(updates: optax.Updates, scale: jax.Array) -> optax.Updates:
    """Multiplies the updates by a float32 scalar; each leaf keeps its dtype."""
    return jax.tree.map(lambda u: (jnp.asarray(u) * scale).astype(jnp.asarray(u).dtype), updates)


def squared_norm(tree: Any) -> jax.Array:
    """Returns the sum of squares of all leaves, in float32 whatever their dtypes."""
    return optax.tree.norm(optax.tree.cast(tree, jnp.float32), squared=True)


def find_states(opt_state: optax.OptState, kind: type[State]) -> list[State]:
    """Returns every state of this class in the state of any chain, however nested."""

    def is_kind(node: object) -> bool:
        return isinstance(node, kind)

    return [node for node in jax.tree.leaves(opt_state, is_leaf=is_kind) if is_kind(node)]
