"""A strided convolution computed with stride 1 on blocks of pixels."""

import jax
import jax.numpy as jnp

from jaxsched.models.layers.convolution import Padding, Strides, convolution


def space_to_depth_convolution(
    images: jax.Array, kernel: jax.Array, strides: Strides, padding: Padding
) -> jax.Array:
    """The function `convolution`, with the pixels of a block of strides as channels of one pixel.

    A stem of 7×7 and stride 2 on three channels becomes one of 4×4 and stride 1 on twelve, which a
    TPU, whose products take 128 channels at a time, uses better. The kernel keeps its shape: zeros
    beside it make it whole blocks. Results differ from those of `convolution` by rounding alone.

    Args:
        images: [B, H, W, C].
        kernel: [kernel height, kernel width, C, features]; see `convolution` for its dtype.
        strides: the strides down and across, and so the sides of a block.
        padding: the numbers of zeros ((top, bottom), (left, right)).

    Returns:
        [B, H', W', features], as `convolution` returns them.

    Source:
        Ying et al., "Image classification at supercomputer scale" (arXiv 1811.06992), section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> ones = jnp.ones((1, 4, 4, 1))
        >>> space_to_depth_convolution(
        ...     ones, jnp.ones((3, 3, 1, 1)), (2, 2), ((1, 1), (1, 1)))[0, :, :, 0]
        Array([[4., 6.],
               [6., 9.]], dtype=float32)
    """
    beside, around = [], []
    for side, length, stride, (low, high) in zip(
        kernel.shape[:2], images.shape[1:3], strides, padding, strict=True
    ):
        # With zeros in front, the kernel's first place falls on a block's first pixel.
        front = -low % stride
        beside.append((front, -(side + front) % stride))
        blocks, kernel_blocks = -(-length // stride), -(-(side + front) // stride)
        outputs = (length + low + high - side) // stride + 1
        before = (low + front) // stride
        around.append((before, outputs + kernel_blocks - 1 - blocks - before))
    beyond = [(0, -length % stride) for length, stride in zip(images.shape[1:3], strides)]
    filters = jnp.pad(kernel, (*beside, (0, 0), (0, 0))).transpose(3, 0, 1, 2)
    return convolution(
        _to_depth(jnp.pad(images, ((0, 0), *beyond, (0, 0))), strides),
        _to_depth(filters, strides).transpose(1, 2, 3, 0),
        (1, 1),
        (around[0], around[1]),
    )


def _to_depth(pixels: jax.Array, block: tuple[int, int]) -> jax.Array:
    """Makes the pixels of each block channels: [n, h·H, w·W, C] -> [n, H, W, h·w·C]."""
    count, height, width, channels = pixels.shape
    rows, columns = block
    blocks = pixels.reshape(count, height // rows, rows, width // columns, columns, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        count, height // rows, width // columns, rows * columns * channels
    )
