"""The norm of the weights, layer by layer, and what changes it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class NormChange(NamedTuple):
    """The three terms of the change of |w|² in each layer, added up over updates; they add up too.

    Formula, of an update with the effective learning rate η and weight decay λ:
        Δ|w|² = η² |g|²  −  2 η λ |w|²  −  2 η g·w  +  O(η² λ)

    where g is the gradient without the decay. For a layer that a norm follows, g·w is 0, so |w|²
    falls while the second term leads and rises once the first does: it bounces. With momentum, η is
    lr / (1 − momentum), what a gradient adds up to; the sum then equals the change only as far as
    gradients hold over 1 / (1 − momentum) updates.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), section 4.
    """

    gradient: jax.Array  # f32[layers], the sum of η² |g|²
    decay: jax.Array  # f32[layers], the sum of −2 η λ |w|²
    alignment: jax.Array  # f32[layers], the sum of −2 η g·w

    @classmethod
    def zero(cls, params: Any) -> "NormChange":
        """Of no update."""
        return cls(*(jnp.zeros(len(layer_names(params)), jnp.float32) for _ in cls._fields))

    @classmethod
    def of(cls, grads: Any, params: Any, rates: tuple[jax.Array, jax.Array]) -> "NormChange":
        """Of one update.

        Args:
            grads: the gradient without the decay.
            params: the weights before the update.
            rates: η, and the share of w that the decay takes off, η λ.
        """
        rate, shrinkage = rates
        return cls(
            gradient=rate**2 * _dot(grads, grads),
            decay=-2 * shrinkage * _dot(params, params),
            alignment=-2 * rate * _dot(grads, params),
        )


def layer_names(params: Any) -> tuple[str, ...]:
    """The layers: what the leaves of the parameters belong to, in their order.

    Example:
        >>> layer_names({"head": {"kernel": 1.0, "bias": 0.0}, "stem": {"conv": {"kernel": 1.0}}})
        ('head', 'stem/conv')
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return tuple(dict.fromkeys(map(_layer_of, paths)))


def squared_norms(params: Any) -> jax.Array:
    """|w|² of each layer, f32[layers], in the order of `layer_names`."""
    return _dot(params, params)


def _layer_of(path: Any) -> str:
    """A leaf's place without its own name."""
    return "/".join(str(entry.key) for entry in path[:-1])


def _dot(a: Any, b: Any) -> jax.Array:
    """a·b of each layer."""
    of_leaves = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    totals: dict[str, jax.Array] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(of_leaves):
        layer = _layer_of(path)
        totals[layer] = totals[layer] + value if layer in totals else value
    return jnp.stack(list(totals.values()))
