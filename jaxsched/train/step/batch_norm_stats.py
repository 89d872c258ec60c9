"""Batch-norm statistics: how they step, the error of those of a part, the batches they pool."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsched.models.model import BatchStats


def stepped_by_examples(
    before: BatchStats, after: BatchStats, momenta: BatchStats, growth: float
) -> BatchStats:
    """Returns running statistics whose memory is a number of examples, not of updates.

    Formula, for a momentum m and after = m · before + (1 − m) · batch:
        before + (after − before) · (1 − m^growth) / (1 − m)
            = m^growth · before + (1 − m^growth) · batch

    It is the result of `growth` updates by batches of the first size with the same statistics.

    Args:
        before: the running statistics before an update.
        after: those that the network returned.
        momenta: m of each, shaped like them; at 0 and 1 the result is `after`.
        growth: the batch size over the run's first batch size.

    Source:
        Hoffer, Hubara and Soudry, "Train longer, generalize better" (arXiv 1705.08741), algorithm
        1, whose statistics step once a group of a large batch.

    Example:
        >>> before, after = {"norm": {"mean": 0.0}}, {"norm": {"mean": 0.5}}  # the batch's is 1
        >>> stepped_by_examples(before, after, {"norm": {"mean": 0.5}}, 2)
        {'norm': {'mean': 0.75}}
    """

    def step(path: Any, old: Any, new: Any, momentum: float) -> Any:
        if momentum in (0.0, 1.0):
            return new
        result = old + (new - old) * ((1 - momentum**growth) / (1 - momentum))
        # Where a variance falls to zero, rounding may go below.
        return jnp.maximum(result, 0.0) if path[-1].key == "var" else result

    return jax.tree.map_with_path(step, before, after, momenta)


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
