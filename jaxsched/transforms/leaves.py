"""Which leaves of a parameter tree are numbers to train, and in what precision they are added."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike


def is_inexact(leaf: Any) -> bool:
    """Returns whether a leaf has real or complex numbers; a counter, a flag or a key has not."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def is_bool(leaf: Any) -> bool:
    """Returns whether a leaf is a bool, or an array of bools."""
    if isinstance(leaf, np.ndarray | jax.Array):
        return leaf.dtype == jnp.bool_
    return isinstance(leaf, bool | np.bool_)


def accumulator_dtype(leaf: Any) -> DTypeLike:
    """Returns the dtype of sums over this leaf: its own if that is wider than float32.

    Wider are float64 and the complex ones, which need their imaginary part.
    """
    dtype = jnp.result_type(leaf)
    return dtype if is_inexact(leaf) and dtype.itemsize > 4 else jnp.dtype(jnp.float32)


def in_accumulator(leaf: Any) -> jax.Array:
    """Converts a leaf to the dtype of sums over it."""
    return jnp.asarray(leaf).astype(accumulator_dtype(leaf))


def all_finite(tree: Any) -> jax.Array:
    """Returns whether no real or complex number in a tree is infinite or NaN, bool[]."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if is_inexact(leaf)]
    return (
        jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all() if leaves else jnp.bool_(1)
    )


def by_part(function: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
    """Returns the function of the arrays; for complex ones that of each part on its own."""
    if not jnp.iscomplexobj(arrays[0]):
        return function(*arrays)
    real, imaginary = [array.real for array in arrays], [array.imag for array in arrays]
    return jax.lax.complex(function(*real), function(*imaginary))


def times(array: jax.Array, factor: jax.Array) -> jax.Array:
    """Returns an array times a real scalar, in the array's dtype."""
    return by_part(lambda part: part * factor.astype(part.dtype), array)


def updated_params(params: optax.Params, updates: optax.Updates) -> optax.Params:
    """Returns `params + updates` as `optax.apply_updates` makes them, for the leaves to train.

    All others are returned as they are, and so are leaves whose update is None: keys cannot be
    added, and a counter has no gradient.
    """

    def updated(leaf: Any, update: Any) -> Any:
        if leaf is None or update is None or not is_inexact(leaf):
            return leaf
        return optax.apply_updates(leaf, update)

    return jax.tree.map(updated, params, updates, is_leaf=lambda leaf: leaf is None)
