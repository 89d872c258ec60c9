"""Helpers of the transformations: argument checks, norms, and finding a state in a chain."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import is_known
from jaxsched.transforms.boxes import without_variables
from jaxsched.transforms.leaves import in_accumulator, is_bool, is_inexact, times

State = TypeVar("State")


def require_predicate(at: Any, name: str, argument: str = "at") -> None:
    """Raises `ValueError` if `at` is no predicate over the update count, but a number or a bool."""
    if callable(at):
        return
    if is_bool(at):
        raise ValueError(
            f"{name} needs {argument} to be a predicate over the update count, got the bool {at}; "
            f"under optax.inject_hyperparams, which calls every function, name {argument} in "
            "static_args."
        )
    raise ValueError(
        f"{name} needs {argument} to be a predicate over the update count, got {argument}={at!r}; "
        f"for every {at} updates use jaxsched.every({at})."
    )


def require_numbers(name: str, **arguments: Any) -> None:
    """Raises `ValueError` if an argument is no number, such as a schedule or a text."""
    numbers = (int, float, np.number, np.ndarray, jax.Array)
    for argument, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, numbers) or jnp.shape(value) != ():
            fix = (
                f"; optax.inject_hyperparams({name}) takes schedules, with all other functions "
                "named in static_args"
                if callable(value)
                else ""
            )
            raise ValueError(f"{name} needs {argument} to be a number, got {value!r}{fix}.")


def require_params(params: optax.Params | None, name: str) -> optax.Params:
    """Returns the parameters; raises `ValueError` if an update was not given them."""
    if params is None:
        raise ValueError(
            f"{name} needs the current parameters, got params=None; "
            "call tx.update(updates, state, params)."
        )
    return params


def holds(at: TimeFunction, count: jax.Array) -> jax.Array:
    """Returns whether a predicate is true at this update, bool[]."""
    return jnp.asarray(at(count)).astype(jnp.bool_)


def as_count(number: ArrayLike) -> jax.Array:
    """Converts a whole number to int32[], and a larger one to the largest."""
    if is_known(number):
        return jnp.int32(min(int(np.asarray(number)), np.iinfo(np.int32).max))
    return jnp.asarray(number).astype(jnp.int32)


def scale_updates(updates: optax.Updates, scale: jax.Array) -> optax.Updates:
    """Multiplies the updates by a float32 scalar; each leaf keeps its dtype.

    Leaves that are no real or complex numbers pass through: they are no steps along a gradient.
    """

    def scaled(update: Any) -> Any:
        if not is_inexact(update):
            return update
        return times(in_accumulator(update), scale).astype(jnp.result_type(update))

    return jax.tree.map(scaled, updates)


def squared_norm(tree: Any) -> jax.Array:
    """Returns the sum of |x|² over the real and complex numbers in a tree, f32[]; 0 if it has none.

    Each leaf is summed in float32, or in its own dtype if that is wider.
    """
    leaves = [in_accumulator(leaf) for leaf in jax.tree.leaves(tree) if is_inexact(leaf)]
    sums = [optax.tree.norm(leaf, squared=True).astype(jnp.float32) for leaf in leaves]
    return sum(sums, start=jnp.zeros((), jnp.float32))


def find_states(opt_state: optax.OptState, kind: type[State]) -> list[State]:
    """Returns every state of this class in the state of any chain, however nested.

    The state of an `nnx.Optimizer` has variables in the arrays' places; those found have arrays.
    """

    def is_kind(node: object) -> bool:
        return isinstance(node, kind)

    nodes = jax.tree.leaves(opt_state, is_leaf=is_kind)
    return [without_variables(node) for node in nodes if is_kind(node)]
