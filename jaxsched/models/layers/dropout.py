"""Dropout with a mask from each example's own key."""

import jax
import jax.numpy as jnp


def dropout(activations: jax.Array, keys: jax.Array, *, layer: int, rate: float) -> jax.Array:
    """Sets a random share of each example's activations to zero and scales up the rest.

    Formula:
        y_i = x_i · m_i / (1 − rate), with m_i ~ Bernoulli(1 − rate) from fold_in(key_i, layer)

    A mask depends only on the example's key and the layer: not on the batch around it, the number
    of devices or the order of execution.

    Args:
        activations: [B, ...].
        keys: typed PRNG keys [B], one an example; new ones for each update.
        layer: the index of the layer among the network's dropout layers.
        rate: the share to drop, in [0, 1).

    Source:
        Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting"
        (JMLR 15, 2014), in the inverted form.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> sorted(set(dropout(jnp.ones((2, 50)), keys, layer=0, rate=0.5).ravel().tolist()))
        [0.0, 2.0]
    """

    def mask(key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - rate, activations.shape[1:])

    # A Python number is weakly typed and does not change the activations' dtype.
    return jnp.where(jax.vmap(mask)(keys), activations / (1 - rate), 0)
