"""The forms of a 3×3 convolution that convolutions.py compares, besides the layer of this package.

Each takes images [B, H, W, C], or another layout of them, and a kernel [3, 3, C, F]; it returns F
features in the same layout, padded by zeros and with stride 1. Their gradients are JAX's own.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

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


BLOCK = 16  # channels: 16 float32 fill a vector of AVX-512


def into_blocks(images: jax.Array) -> jax.Array:
    """[B, H, W, C] to [B, blocks, H, W, 16]."""
    *pixels, channels = images.shape
    return jnp.moveaxis(images.reshape(*pixels, channels // BLOCK, BLOCK), 3, 1)


def from_blocks(images: jax.Array) -> jax.Array:
    """[B, blocks, H, W, 16] to [B, H, W, C]."""
    return jnp.moveaxis(images, 1, 3).reshape(*images.shape[:1], *images.shape[2:4], -1)


def _kernel_blocks(kernel: jax.Array) -> jax.Array:
    """[3, 3, blocks of inputs, 16, blocks of outputs, 16]."""
    inputs, outputs = kernel.shape[2:]
    return kernel.reshape(3, 3, inputs // BLOCK, BLOCK, outputs // BLOCK, BLOCK)


def blocked_products(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Blocks of channels: for each of nine neighbours a product for each pair of blocks."""
    height, width = images.shape[2:4]
    padded = jnp.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    blocks = _kernel_blocks(kernel)
    return sum(  # pyright: ignore
        jnp.einsum("nihwc,icof->nohwf", padded[:, :, u : u + height, v : v + width], blocks[u, v])
        for u, v in np.ndindex(3, 3)
    )


def blocked_convolutions(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Blocks of channels: XLA's convolution for each pair of blocks, added up."""
    blocks = _kernel_blocks(kernel)
    inputs, outputs = blocks.shape[2], blocks.shape[4]

    def features(output: int) -> jax.Array:
        pairs = [plain(images[:, i], blocks[:, :, i, :, output]) for i in range(inputs)]
        return functools.reduce(jnp.add, pairs)

    return jnp.stack([features(output) for output in range(outputs)], axis=1)


def images_last(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """[C, H, W, B]: for each of nine neighbours one product with the images of all pixels."""
    height, width = images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(  # pyright: ignore
        jnp.einsum("cf,chwn->fhwn", kernel[u, v], padded[:, u : u + height, v : v + width])
        for u, v in np.ndindex(3, 3)
    )


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


def _first_to_last(images: jax.Array) -> jax.Array:
    """[B, H, W, C] to [C, H, W, B], and back."""
    return jnp.swapaxes(images, 0, 3)


def _as_they_are(images: jax.Array) -> jax.Array:
    return images


class Form(NamedTuple):
    """A way to compute the convolution, and the layout that the images have in all layers."""

    convolve: Callable[[jax.Array, jax.Array], jax.Array]
    layout: Callable[[jax.Array], jax.Array] = _as_they_are  # from [B, H, W, C]
    back: Callable[[jax.Array], jax.Array] = _as_they_are


FORMS = {
    "lax.conv": Form(plain),
    "rows into channels": Form(rows),
    "patches": Form(patches),
    "Winograd F(2x2)": Form(functools.partial(winograd, outputs=2)),
    "Winograd F(4x4)": Form(functools.partial(winograd, outputs=4)),
    "blocks, products": Form(blocked_products, into_blocks, from_blocks),
    "blocks, lax.conv": Form(blocked_convolutions, into_blocks, from_blocks),
    "images last": Form(images_last, _first_to_last, _first_to_last),
}
