"""The error of batch-norm statistics of a part, and the batches from which they are pooled."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsched.models.model import BatchStats


def relative_error(batch_stats: BatchStats, exact: BatchStats) -> jax.Array:
    """Returns the distance of statistics from exact ones, in exact standard deviations; f32[].

    Formula:
        the root of the mean over all channels of  ((mean − mean')² + (σ − σ')²) / σ'²

    An error of 0.01 shifts or stretches the output of a norm by about a hundredth of its spread.

    Example:
        >>> import jax.numpy as jnp
        >>> one = {"norm": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}
        >>> float(relative_error({"norm": {"mean": jnp.ones(2), "var": jnp.ones(2)}}, one))
        1.0
    """

    def squared_error(ours: Any, theirs: Any) -> jax.Array:
        shift = ours["mean"] - theirs["mean"]
        stretch = jnp.sqrt(ours["var"]) - jnp.sqrt(theirs["var"])
        # A channel that never varies must not divide by zero.
        variance = jnp.maximum(theirs["var"], jnp.finfo(jnp.float32).tiny)
        return (jnp.square(shift) + jnp.square(stretch)) / variance

    errors = jax.tree.leaves(jax.tree.map(squared_error, batch_stats, exact, is_leaf=_is_norm))
    if not errors:  # a network without batch norm
        return jnp.zeros(())
    return jnp.sqrt(jnp.mean(jnp.concatenate([error.ravel() for error in errors])))


def _is_norm(node: Any) -> bool:
    """Returns whether a node of the tree holds the statistics of one batch norm."""
    return isinstance(node, dict) and set(node) == {"mean", "var"}


class Batches(NamedTuple):
    """A number of batches of one size."""

    size: int
    count: int


def even_batches(num_examples: int, most: int, num_devices: int) -> tuple[Batches, ...]:
    """Cuts examples into batches of nearly the same size, each a multiple of the devices.

    A batch is normalised by its own statistics. A small last batch would have noisier ones than the
    others, and what the deeper norms see would differ.

    Args:
        num_examples: the number of examples, of which up to num_devices − 1 are left out.
        most: the largest batch size allowed, or one example a device if that is larger.
        num_devices: the number of devices, which divides every batch size.

    Returns:
        At most two sizes, the larger one first.

    Example:
        >>> even_batches(10_000, most=512, num_devices=1)
        (Batches(size=500, count=20),)
        >>> even_batches(1493, most=512, num_devices=1)
        (Batches(size=498, count=2), Batches(size=497, count=1))
    """
    rows, most_rows = num_examples // num_devices, max(1, most // num_devices)
    count = -(-rows // most_rows)
    size, larger = divmod(rows, count)
    sizes = (
        Batches((size + 1) * num_devices, larger),
        Batches(size * num_devices, count - larger),
    )
    return tuple(batches for batches in sizes if batches.count)
