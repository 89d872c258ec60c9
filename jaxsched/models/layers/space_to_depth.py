"""A strided convolution computed with stride 1 on blocks of pixels."""

from typing import TypeAlias

import jax
import jax.numpy as jnp

from jaxsched.models.layers.convolution import Padding, Strides, convolution

_Zeros: TypeAlias = tuple[int, int]


def space_to_depth_convolution(
    images: jax.Array, kernel: jax.Array, strides: Strides, padding: Padding
) -> jax.Array:
    """The function `convolution`, with the pixels of a block of strides as channels of one pixel.

    A stem of 7×7 and stride 2 on three channels becomes one of 4×4 and stride 1 on twelve. The
    kernel keeps its shape: zeros beside it make it whole blocks. Results differ from those of
    `convolution` by rounding alone. Measure before use: a TPU's compiler may do as much by itself.

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
    axes = (
        _along(length, side, stride, zeros)
        for length, side, stride, zeros in zip(
            images.shape[1:3], kernel.shape[:2], strides, padding, strict=True
        )
    )
    beyond, beside, around = zip(*axes, strict=True)
    filters = jnp.pad(kernel, (*beside, (0, 0), (0, 0))).transpose(3, 0, 1, 2)
    return convolution(
        _to_depth(jnp.pad(images, ((0, 0), *beyond, (0, 0))), strides),
        _to_depth(filters, strides).transpose(1, 2, 3, 0),
        (1, 1),
        around,
    )


def _along(length: int, side: int, stride: int, zeros: _Zeros) -> tuple[_Zeros, ...]:
    """The zeros (before, after) along one axis: of the image, of the kernel, and of the blocks."""
    # With zeros in front, the kernel's first place falls on a block's first pixel.
    front = -zeros[0] % stride
    blocks, kernel_blocks = -(-length // stride), -(-(side + front) // stride)
    outputs = (length + sum(zeros) - side) // stride + 1
    before = (zeros[0] + front) // stride
    return (
        (0, blocks * stride - length),
        (front, kernel_blocks * stride - side - front),
        (before, outputs + kernel_blocks - 1 - blocks - before),
    )


def _to_depth(pixels: jax.Array, block: tuple[int, int]) -> jax.Array:
    """Makes the pixels of each block channels: [n, h·H, w·W, C] -> [n, H, W, h·w·C]."""
    count, height, width, channels = pixels.shape
    rows, columns = block
    blocks = pixels.reshape(count, height // rows, rows, width // columns, columns, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        count, height // rows, width // columns, rows * columns * channels
    )
