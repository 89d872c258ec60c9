"""Batch-norm statistics of any weights: batches' means and variances pooled over examples."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsched.models.model import BatchStats


class PooledMoments(NamedTuple):
    """Means and variances over all examples so far; two batches' pool as one would.

    Formula, of n and m examples with means a and b and variances u and v:
        mean = a + (b − a) · m / (n + m)
        var  = (n · u + m · v) / (n + m) + (b − a)² · n · m / (n + m)²

    The last term is the variance between the batches, which an average of variances leaves out.
    Means are not taken of squares, so nothing cancels in float32.

    Source:
        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances" (1979).

    Example:
        >>> import jax.numpy as jnp
        >>> def batch(mean, var):
        ...     return {"norm": {"mean": jnp.array(mean), "var": jnp.array(var)}}
        >>> pooled = PooledMoments.none(batch(0.0, 0.0))
        >>> for mean, var, size in (1.0, 1.0, 3), (5.0, 1.0, 1):
        ...     pooled = pooled.add(batch(mean, var), size)
        >>> {name: float(x) for name, x in pooled.batch_stats["norm"].items()}
        {'mean': 2.0, 'var': 4.0}
    """

    num_examples: jax.Array  # f32[]
    batch_stats: BatchStats

    @classmethod
    def none(cls, like: BatchStats) -> "PooledMoments":
        """Of no example."""
        return cls(jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, like))

    def add(self, batch_stats: BatchStats, num_examples: int) -> "PooledMoments":
        """With a batch of so many examples."""
        total = self.num_examples + num_examples
        share = num_examples / total

        def pooled(mine: Any, new: Any) -> Any:
            difference = new["mean"] - mine["mean"]
            within = mine["var"] + (new["var"] - mine["var"]) * share
            between = jnp.square(difference) * share * (1 - share)
            return {"mean": mine["mean"] + difference * share, "var": within + between}

        merged = jax.tree.map(pooled, self.batch_stats, batch_stats, is_leaf=_is_norm)
        return PooledMoments(total, merged)


def _is_norm(node: Any) -> bool:
    """Whether this is the statistics of one norm."""
    return isinstance(node, dict) and set(node) == {"mean", "var"}


def relative_error(batch_stats: BatchStats, exact: BatchStats) -> jax.Array:
    """How far statistics are from others, in standard deviations of what they are statistics of.

    Formula:
        the root of the mean over all channels of  ((mean − mean')² + (σ − σ')²) / σ'²

    so 0.01 shifts or stretches what a norm gives by about a hundredth of its spread.

    Example:
        >>> import jax.numpy as jnp
        >>> one = {"norm": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}
        >>> float(relative_error({"norm": {"mean": jnp.ones(2), "var": jnp.ones(2)}}, one))
        1.0
    """

    def of_norm(ours: Any, theirs: Any) -> jax.Array:
        shift = ours["mean"] - theirs["mean"]
        stretch = jnp.sqrt(ours["var"]) - jnp.sqrt(theirs["var"])
        # A channel that never varies has no spread to measure by.
        spread = jnp.maximum(theirs["var"], jnp.finfo(jnp.float32).tiny)
        return (jnp.square(shift) + jnp.square(stretch)) / spread

    errors = jax.tree.leaves(jax.tree.map(of_norm, batch_stats, exact, is_leaf=_is_norm))
    if not errors:  # no batch norm
        return jnp.zeros(())
    return jnp.sqrt(jnp.mean(jnp.concatenate([error.ravel() for error in errors])))


class Batches(NamedTuple):
    """Some batches of one size."""

    size: int
    count: int


def even_batches(num_examples: int, most: int, num_devices: int) -> tuple[Batches, ...]:
    """Cuts examples into batches of nearly the same size, each of which the devices divide.

    Batches normalise themselves, so a small last one would be measured through another network.

    Args:
        num_examples: how many there are; up to num_devices − 1 of them are left out.
        most: no batch is larger than this or, where that is less, than one example a device.
        num_devices: what every size divides by.

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
