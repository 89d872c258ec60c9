"""Batch-norm statistics of any weights, pooled over batches from their means and variances."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# A power of two, so that a running statistic that starts here tells its momentum without rounding.
_FAR = 2.0**20


class PooledMoments(NamedTuple):
    """Means and variances over all examples so far, as if they were one batch.

    Formula, for n and m examples with means a and b and variances u and v:
        mean = a + (b − a) · m / (n + m)
        var  = (n · u + m · v) / (n + m) + (b − a)² · n · m / (n + m)²

    The last term is the variance between the batches, which a mean of variances leaves out. No
    difference of mean squares is taken, so nothing cancels in float32.

    Source:
        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances" (1979).

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.transforms.batch_stats import PooledMoments
        >>> def batch(mean, var):
        ...     return {"norm": {"mean": jnp.array(mean), "var": jnp.array(var)}}
        >>> pooled = PooledMoments.none(batch(0.0, 0.0))
        >>> for mean, var, size in (1.0, 1.0, 3), (5.0, 1.0, 1):
        ...     pooled = pooled.add(batch(mean, var), size)
        >>> {name: float(x) for name, x in pooled.batch_stats["norm"].items()}
        {'mean': 2.0, 'var': 4.0}
    """

    num_examples: jax.Array  # f32[]
    batch_stats: Any  # a tree whose leaves are named "mean" and "var", in pairs

    @classmethod
    def none(cls, like: Any) -> "PooledMoments":
        """Returns the moments of no example, shaped like `like`."""
        return cls(jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, like))

    def add(self, batch_stats: Any, num_examples: int) -> "PooledMoments":
        """Returns the moments that include a batch of `num_examples` with these statistics."""
        total = self.num_examples + num_examples
        share = num_examples / total
        leaves, structure = jax.tree_util.tree_flatten_with_path(self.batch_stats)
        names = [_names(path) for path, _ in leaves]
        old = dict(zip(names, (leaf for _, leaf in leaves), strict=True))
        new = dict(zip(names, jax.tree.leaves(batch_stats), strict=True))

        def pool(name: tuple[str, ...]) -> jax.Array:
            mean = (*name[:-1], "mean")
            difference = new[mean] - old[mean]
            if name == mean:
                return old[mean] + difference * share
            within = old[name] + (new[name] - old[name]) * share
            between = jnp.square(difference) * share * (1 - share)
            return within + between

        return PooledMoments(total, jax.tree.unflatten(structure, [pool(name) for name in names]))


def _names(path: jax.tree_util.KeyPath) -> tuple[str, ...]:
    """Returns the names on the way to a statistic, without that of an NNX variable's value."""
    names = tuple(jax.tree_util.keystr((key,), simple=True) for key in path)
    return names[:-1] if names[-1:] == ("value",) else names


def recompute_batch_stats(
    apply: Callable[[dict[str, Any], Any], Any],
    variables: Mapping[str, Any],
    batches: Iterable[Any],
) -> dict[str, Any]:
    """Recomputes the batch-norm statistics of any weights, such as an average, from batches.

    Formula, for batches i of nᵢ examples with means aᵢ and variances vᵢ:
        mean = Σ nᵢ aᵢ / Σ nᵢ,   var = Σ nᵢ (vᵢ + (aᵢ − mean)²) / Σ nᵢ

    So they are the statistics of all these examples, whatever the momentum of the norms: a batch's
    own are read off what a running statistic r becomes, (momentum · r + (1 − momentum) · batch),
    from r = 0. In float32 they are exact to 1e-7 / (1 − momentum). Give batches of training
    examples as training augments them; some thousand examples are enough. The first batch is
    applied twice.

    Args:
        apply: applies the network in training mode, `(variables, batch) -> batch_stats`, and
            returns the updated running statistics; jit it for speed.
        variables: the weights, and under "batch_stats" statistics of the right structure, whose
            values do not matter: a tree with leaves named "mean" and "var", as in Flax.
        batches: the batches, trees of arrays [B, …]. B may differ.

    Returns:
        The variables with the recomputed statistics.

    Raises:
        ValueError: if there are no batches or no statistics, or `apply` does not update them.

    Source:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization"
        (arXiv 1803.05407), section 3.2; pooled as in `PooledMoments`.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp, jaxsched as js
        >>> norm = nn.BatchNorm(use_running_average=False, momentum=0.9)
        >>> def apply(variables, batch):
        ...     return norm.apply(variables, batch, mutable=["batch_stats"])[1]["batch_stats"]
        >>> variables = norm.init(jax.random.key(0), jnp.ones((2, 1)))
        >>> batches = jnp.array([[0.0], [2.0]]), jnp.array([[4.0], [6.0]])
        >>> found = js.recompute_batch_stats(apply, variables, batches)["batch_stats"]
        >>> print(found["mean"].round(4), found["var"].round(4))  # of 0, 2, 4, 6
        [3.] [5.]
    """
    stats = variables.get("batch_stats")
    if not jax.tree.leaves(stats):
        raise ValueError(
            'recompute_batch_stats needs variables with "batch_stats", as those of a network with '
            f"batch norm, got {list(variables)}; a network without has nothing to recompute."
        )

    def running(start: float, batch: Any) -> Any:
        filled = jax.tree.map(lambda leaf: jnp.full_like(leaf, start), stats)
        return apply({**variables, "batch_stats": filled}, batch)

    pooled, share = PooledMoments.none(stats), None
    for batch in batches:
        from_zero = running(0.0, batch)
        if share is None:
            share = jax.tree.map(_share_of_batch, from_zero, running(_FAR, batch))
            _require_updates(share)
        moments = jax.tree.map(jnp.divide, from_zero, share)
        pooled = pooled.add(moments, jnp.shape(jax.tree.leaves(batch)[0])[0])
    if share is None:
        raise ValueError("recompute_batch_stats needs at least one batch, got none.")
    return {**variables, "batch_stats": pooled.batch_stats}


def _share_of_batch(from_zero: jax.Array, from_far: jax.Array) -> jax.Array:
    """Returns 1 − momentum, from the running statistics that began at 0 and far away."""
    return 1 - jnp.mean(from_far - from_zero) / _FAR


def _require_updates(share: Any) -> None:
    """Raises a `ValueError` if some running statistic does not move towards the batch's."""
    shares = [float(leaf) for leaf in jax.tree.leaves(share)]
    if not all(1e-6 < found < 1 + 1e-6 for found in shares):
        raise ValueError(
            "recompute_batch_stats needs apply to move every running statistic towards the batch's "
            f"by a share within (0, 1], got shares from {min(shares):.3g} to {max(shares):.3g}; "
            "apply the network in training mode, with its statistics mutable, and return them."
        )
