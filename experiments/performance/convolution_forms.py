"""The forms of a 3×3 convolution that convolutions.py compares, besides the layer of this package.

Each takes images [B, H, W, C] and a kernel [3, 3, C, F] and returns [B, H, W, F], padded by zeros
and with stride 1. Their gradients are JAX's own.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# (Bᵀ, G, Aᵀ) of F(m, 3), from Lavin and Gray, "Fast algorithms for convolutional neural networks"
# (arXiv 1509.09308), section 4: y = Aᵀ [(G g) ⊙ (Bᵀ d)] are m outputs of a filter g over m + 2
# numbers d.
WINOGRAD = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}


def plain(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's convolution."""
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=layout)


def _padded(images: jax.Array) -> jax.Array:
    return jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))


def rows(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Three neighbours of a row gathered into channels, then a product for each of the rows."""
    padded, (height, width) = _padded(images), images.shape[1:3]
    gathered = jnp.concatenate([padded[:, :, v : v + width] for v in range(3)], axis=-1)
    flat = kernel.reshape(3, -1, kernel.shape[-1])
    return sum(gathered[:, u : u + height] @ flat[u] for u in range(3))  # pyright: ignore


def patches(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """All nine neighbours gathered into channels, then one product."""
    padded, (height, width) = _padded(images), images.shape[1:3]
    windows = [padded[:, u : u + height, v : v + width] for u, v in np.ndindex(3, 3)]
    return jnp.concatenate(windows, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _combine(matrix: Sequence[Sequence[float]], terms: list[jax.Array]) -> list[jax.Array]:
    """Sums of terms, weighted by the rows of a matrix, whose zeros cost nothing."""
    pairs = [[(w, term) for w, term in zip(row, terms, strict=True) if w] for row in matrix]
    return [functools.reduce(jnp.add, [w * term for w, term in row]) for row in pairs]


def winograd(images: jax.Array, kernel: jax.Array, *, outputs: int) -> jax.Array:
    """Winograd's F(m × m, 3 × 3), its (m + 2)² products as one batched product of matrices."""
    for_images, for_kernel, for_outputs = WINOGRAD[outputs]
    batch, height, width, channels = images.shape
    down, across, size = height // outputs, width // outputs, outputs + 2
    padded, stop = _padded(images), outputs
    lines = [padded[:, i : i + height - stop + 1 : outputs] for i in range(size)]
    tiles = []
    for line in _combine(for_images, lines):
        pixels = [line[:, :, j : j + width - stop + 1 : outputs] for j in range(size)]
        tiles += _combine(for_images, pixels)
    left = jnp.stack(tiles).reshape(size**2, -1, channels)
    g = jnp.asarray(for_kernel, kernel.dtype)
    right = jnp.einsum("xu,yv,uvcf->xycf", g, g, kernel).reshape(size**2, channels, -1)
    products = (left @ right).reshape(size, size, batch, down, across, -1)
    by_row = [jnp.stack(_combine(for_outputs, list(line)), axis=3) for line in products]
    return jnp.stack(_combine(for_outputs, by_row), axis=2).reshape(batch, height, width, -1)


FORMS = {
    "lax.conv": plain,
    "rows into channels": rows,
    "patches": patches,
    "Winograd F(2x2)": functools.partial(winograd, outputs=2),
    "Winograd F(4x4)": functools.partial(winograd, outputs=4),
}
