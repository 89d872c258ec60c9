"""The norm of the weights of each layer, and the terms of its change."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsched.optim.optimizers import EffectiveRates


class NormChange(NamedTuple):
    """The three terms of the change of |w|² in each layer, summed over updates.

    Formula, for an update with the effective learning rate η and weight decay λ:
        Δ|w|² = η² |g|²  −  2 η λ |w|²  −  2 η g·w  +  O(η² λ)

    where g is the gradient without the decay. For a layer that is followed by a norm, g·w is 0. Its
    |w|² falls while the second term is larger than the first and rises afterwards: it bounces. With
    momentum, η is lr / (1 − momentum), the sum of a gradient's effects on later updates. The sum of
    the terms then equals the change only if gradients change little in 1 / (1 − momentum) updates.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), section 4.
    """

    gradient: jax.Array  # f32[layers], the sum of η² |g|²
    decay: jax.Array  # f32[layers], the sum of −2 η λ |w|²
    alignment: jax.Array  # f32[layers], the sum of −2 η g·w

    @classmethod
    def zero(cls, params: Any) -> "NormChange":
        """Returns the terms of no update."""
        return cls(*(jnp.zeros(len(layer_names(params)), jnp.float32) for _ in cls._fields))

    @classmethod
    def of(
        cls, grads: Any, params: Any, rates: EffectiveRates, factors: Any = None
    ) -> "NormChange":
        """Returns the terms of one update.

        Args:
            grads: the gradient without the decay.
            params: the weights before the update.
            rates: η, the share η λ of w by which the decay shrinks it, and what decays.
            factors: the factor of each parameter's learning rate, as a tree; None if all are 1.
        """
        eta, shrinkage, decays = rates
        shrunk = params if decays is None else _where(decays(params), params)
        if factors is not None:
            grads, shrunk = (jax.tree.map(jnp.multiply, tree, factors) for tree in (grads, shrunk))
        return cls(
            gradient=eta**2 * _dot(grads, grads),
            decay=-2 * shrinkage * _dot(shrunk, params),
            alignment=-2 * eta * _dot(grads, params),
        )


def layer_names(params: Any) -> tuple[str, ...]:
    """Returns the layers' names, in the order of the parameters' leaves.

    Example:
        >>> layer_names({"head": {"kernel": 1.0, "bias": 0.0}, "stem": {"conv": {"kernel": 1.0}}})
        ('head', 'stem/conv')
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return tuple(dict.fromkeys(map(_layer_of, paths)))


def squared_norms(params: Any) -> jax.Array:
    """Returns |w|² of each layer, f32[layers], in the order of `layer_names`."""
    return _dot(params, params)


def _where(flags: Any, params: Any) -> Any:
    """Returns the parameters whose flag is True, and zeros for the others."""
    return jax.tree.map(lambda flag, w: w if flag else jnp.zeros_like(w), flags, params)


def _layer_of(path: Any) -> str:
    """Returns the path of a leaf without the leaf's own name."""
    return "/".join(str(entry.key) for entry in path[:-1])


def _dot(a: Any, b: Any) -> jax.Array:
    """Returns a·b of each layer."""
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    totals: dict[str, jax.Array] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(products):
        layer = _layer_of(path)
        totals[layer] = totals[layer] + value if layer in totals else value
    return jnp.stack(list(totals.values()))
