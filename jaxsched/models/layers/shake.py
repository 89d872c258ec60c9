"""Random gates of residual branches, other ones backward than forward: Shake-Shake, ShakeDrop."""

import jax
import jax.numpy as jnp
from jax import lax


def shake_shake(
    first: jax.Array, second: jax.Array, keys: jax.Array | None, *, layer: int
) -> jax.Array:
    """Mixes two branches at random, and their gradients at random, too.

    Formula, with α and β ~ Uniform(0, 1), both from fold_in(key, layer):
        forward:   y = α · x₁ + (1 − α) · x₂
        backward:  dx₁ = β · dy,  dx₂ = (1 − β) · dy

    Without keys both are 1/2, the expectations, as in evaluation.

    Args:
        first: [B, ...].
        second: [B, ...].
        keys: typed PRNG keys [B], one an example; new ones for each update. None to evaluate.
        layer: the index of the layer among those of the network that draw.

    Returns:
        [B, ...] of the dtype of the branches; computed in float32.

    Source:
        Gastaldi, "Shake-Shake regularization" (arXiv 1705.07485), "Shake-Shake-Image".

    Example:
        >>> import jax, jax.numpy as jnp
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> ones, zeros = jnp.ones((3, 1)), jnp.zeros((3, 1))
        >>> mixed = shake_shake(ones, zeros, keys, layer=0)
        >>> bool((mixed != mixed[::-1]).any()), shake_shake(ones, zeros, None, layer=0).tolist()
        (True, [[0.5], [0.5], [0.5]])
    """
    if keys is None:
        return (first + second) * 0.5
    alpha, beta = _draw(keys, layer, 2)
    return gated(first, alpha, beta) + gated(second, 1 - alpha, 1 - beta)


def shake_drop(branch: jax.Array, keys: jax.Array | None, *, layer: int, rate: float) -> jax.Array:
    """Shakes the branch of a share of the examples, and leaves that of the others as it is.

    Formula, with b ~ Bernoulli(1 − rate), α ~ Uniform(−1, 1) and β ~ Uniform(0, 1), all from
    fold_in(key, layer):
        forward:   y = (b + α − b · α) · x
        backward:  dx = (b + β − b · β) · dy

    Without keys y = (1 − rate) · x, the expectation, as in evaluation.

    Args:
        branch: [B, ...].
        keys: typed PRNG keys [B], one an example; new ones for each update. None to evaluate.
        layer: the index of the layer among those of the network that draw.
        rate: the share of examples to shake, in [0, 1].

    Returns:
        [B, ...] of the dtype of the branch; computed in float32.

    Source:
        Yamada et al., "ShakeDrop regularization for deep residual learning" (arXiv 1802.02375),
        with its ranges of α and β.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> shake_drop(jnp.ones((4, 1)), keys, layer=0, rate=0.0).ravel().tolist()
        [1.0, 1.0, 1.0, 1.0]
        >>> shake_drop(jnp.ones((4, 1)), None, layer=0, rate=0.25).ravel().tolist()
        [0.75, 0.75, 0.75, 0.75]
    """
    if keys is None:
        return branch * (1 - rate)
    chance, alpha, beta = _draw(keys, layer, 3)
    is_kept = chance >= rate
    return gated(branch, jnp.where(is_kept, 1, 2 * alpha - 1), jnp.where(is_kept, 1, beta))


def gated(branch: jax.Array, forward: jax.Array, backward: jax.Array) -> jax.Array:
    """Multiplies each example by one number, and its gradient by another.

    Args:
        branch: [B, ...].
        forward: f32[B].
        backward: f32[B].

    Example:
        >>> import jax, jax.numpy as jnp
        >>> loss = lambda x: gated(x, jnp.array([2.0]), jnp.array([5.0])).sum()
        >>> jax.value_and_grad(loss)(jnp.array([3.0]))
        (Array(6., dtype=float32), Array([5.], dtype=float32))
    """
    ones = tuple(range(1, branch.ndim))
    forward, backward = jnp.expand_dims(forward, ones), jnp.expand_dims(backward, ones)
    # Only the first term has a gradient. The sum is rounded but in float32.
    wide = branch.astype(jnp.float32)
    result = wide * backward + lax.stop_gradient(wide * (forward - backward))
    return result.astype(branch.dtype)


def _draw(keys: jax.Array, layer: int, count: int) -> jax.Array:
    """Uniform numbers in [0, 1) from each example's own key, f32[count, B]."""

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, layer), (count,))

    return jax.vmap(draw, out_axes=1)(keys)
