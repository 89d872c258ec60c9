"""Rotary positions: queries and keys are turned by angles that grow with their places."""

import jax
import jax.numpy as jnp
import numpy as np


def rotate(vectors: jax.Array, base: float = 10_000.0) -> jax.Array:
    """Turns each pair of a vector's numbers by an angle that is proportional to its place.

    Formula, for the vector x at the place t and i = 0 … D/2 − 1, where θ = t · base^(−2i / D):
        y_i         = x_i · cos θ − x_(i + D/2) · sin θ
        y_(i + D/2) = x_i · sin θ + x_(i + D/2) · cos θ

    The product of a turned query and a turned key depends on the difference of their places alone.
    The pairs are halves apart, as in GPT-NeoX and Llama; the paper's are neighbours.

    Args:
        vectors: f[B, T, heads, D] with an even D, at the places 0 … T − 1.
        base: sets the slowest of the turns: 2π · base places, nearly, for a whole one.

    Returns:
        f[B, T, heads, D] of the same dtype; computed in float32.

    Source:
        Su et al., "RoFormer: enhanced transformer with rotary position embedding" (arXiv
        2104.09864), section 3.2.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.models.layers.rotary import rotate
        >>> east = jnp.broadcast_to(jnp.array([1.0, 0.0]), (1, 3, 1, 2))
        >>> [round(float(y), 4) for y in rotate(east)[0, :, 0, 1]]  # sin 0, sin 1, sin 2
        [0.0, 0.8415, 0.9093]
    """
    _, length, _, size = vectors.shape
    # In float64 on the host: a float32 angle of ten thousand would be off by a thousandth.
    angles = np.outer(np.arange(length), base ** (-2 * np.arange(size // 2) / size))
    cos, sin = (jnp.asarray(f(angles)[None, :, None], jnp.float32) for f in (np.cos, np.sin))
    first, second = jnp.split(vectors.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
    return turned.astype(vectors.dtype)
