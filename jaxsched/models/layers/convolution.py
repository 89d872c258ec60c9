"""A 2-D convolution that XLA runs fast on CPU, inside loops as well as outside."""

import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from jaxsched.models.layers.target_platform import target_platform

Strides: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# XLA's fast convolution on CPU is not used where both channels and features are at most this many.
_NARROW = 16


def convolution(
    images: jax.Array, kernel: jax.Array, strides: Strides, padding: Padding
) -> jax.Array:
    """Cross-correlates images with a kernel, which deep learning calls a convolution.

    Formula:
        y[b, i, j, o] = Σ_{u, v, c} x[b, i·s_h + u − top, j·s_w + v − left, c] · w[u, v, c, o]

    where x is zero outside the image.

    On CPU, XLA transposes convolutions to the layout of its fast kernels only at the top level of a
    program. The two convolutions of the gradient do not have that layout, so inside `lax.scan`,
    `lax.fori_loop` or `lax.cond` they run 30 times slower (github.com/jax-ml/jax/issues/12868). On
    CPU this function therefore writes out the gradient in the fast layout, with the same values up
    to the order of summation. In programs with `compiler_options` it also keeps XLA from computing
    the images again for the gradient of the kernel. The price is that forward-mode differentiation
    (`jax.jvp`, `jax.jacfwd`, `jax.linearize`) raises a `TypeError` on CPU. It works on every other
    backend, where the function is `lax.conv_general_dilated`.

    Args:
        images: [B, H, W, C].
        kernel: [kernel height, kernel width, C, features], with the dtype of the images.
        strides: the strides down and across.
        padding: the numbers of zeros ((top, bottom), (left, right)).

    Returns:
        [B, H', W', features] with H' = ⌊(H + top + bottom − kernel height) / stride⌋ + 1.

    Example:
        >>> import jax.numpy as jnp
        >>> ones = jnp.ones((1, 4, 4, 1))
        >>> convolution(ones, jnp.ones((3, 3, 1, 1)), (2, 2), ((1, 1), (1, 1)))[0, :, :, 0]
        Array([[4., 6.],
               [6., 9.]], dtype=float32)
    """
    platform = target_platform()
    if platform == "cpu":
        return canonical_convolution(images, kernel, strides, padding)
    # A GPU's convolutions give float32 of float32 alone: it would convert all images first.
    if kernel.dtype != images.dtype and platform == "tpu":
        return mixed_convolution(images, kernel, strides, padding)
    return _convolve(images, kernel.astype(images.dtype), strides, padding)


def _convolve(
    images: jax.Array, kernel: jax.Array, strides: Strides, padding: Padding
) -> jax.Array:
    """XLA's convolution, in the layout that is fast on every backend."""
    return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=_LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def mixed_convolution(
    images: jax.Array, kernel: jax.Array, strides: Strides, padding: Padding
) -> jax.Array:
    """The convolution with a kernel that is wider than the images, in the forms of a TPU.

    `convolution` calls it there; arguments and result are the same. The gradients are those of
    `lax.conv_general_dilated`, but for the dtype of the kernel's.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> images = jnp.ones((1, 3, 3, 1), jnp.bfloat16)
        >>> loss = lambda w: mixed_convolution(images, w, (1, 1), ((0, 0), (0, 0))).sum()
        >>> str(jax.grad(loss)(jnp.ones((3, 3, 1, 1))).dtype)
        'float32'
    """
    return _convolve(images, kernel.astype(images.dtype), strides, padding)


def _mixed_forward(images, kernel, strides, padding):
    return mixed_convolution(images, kernel, strides, padding), (images, kernel)


def _mixed_backward(strides, padding, saved, cotangent):
    images, kernel = saved

    def convolve(images: jax.Array) -> jax.Array:
        return _convolve(images, kernel.astype(images.dtype), strides, padding)

    (images_gradient,) = jax.vjp(convolve, images)[1](cotangent)
    # Channels take the place of examples, as in `_kernel_gradient`, but without transposing.
    kernel_gradient = lax.conv_general_dilated(
        images,
        cotangent,
        window_strides=(1, 1),
        padding=_kernel_gradient_pads(images.shape, kernel.shape, cotangent, strides, padding),
        rhs_dilation=strides,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        preferred_element_type=kernel.dtype,
    )
    return images_gradient, kernel_gradient


mixed_convolution.defvjp(_mixed_forward, _mixed_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def canonical_convolution(
    images: jax.Array, kernel: jax.Array, strides: Strides, padding: Padding
) -> jax.Array:
    """The convolution and its gradient in the forms that XLA runs fast on CPU.

    `convolution` calls it on CPU; arguments and result are the same.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> loss = lambda w: canonical_convolution(
        ...     jnp.ones((1, 3, 3, 1)), w, (1, 1), ((0, 0), (0, 0))).sum()
        >>> float(jax.grad(loss)(jnp.ones((3, 3, 1, 1))).sum())
        9.0
    """
    return _convolve_widened(images, kernel.astype(images.dtype), strides, padding)


def _forward(images, kernel, strides, padding):
    # XLA would fuse what the images are computed by into the transposition in `_kernel_gradient`
    # too: all residual blocks before this one, pixel by pixel in the order of the transposed array.
    images = lax.optimization_barrier(images)
    output = _convolve_widened(images, kernel.astype(images.dtype), strides, padding)
    return output, (images, kernel)


def _backward(strides, padding, saved, cotangent):
    images, kernel = saved
    rounded = kernel.astype(images.dtype)
    return (
        _images_gradient(images.shape, rounded, cotangent, strides, padding),
        _kernel_gradient(images, kernel, cotangent, strides, padding),
    )


canonical_convolution.defvjp(_forward, _backward)


def _convolve_widened(images, kernel, strides, padding) -> jax.Array:
    """XLA's convolution, made wide enough for its fast kernels where it is narrow.

    A narrow convolution computes 2 or 4 neighbouring outputs of a row at once, as features of a
    single output: with copies of the kernel, each shifted by one more column. The padding of the
    copies costs multiplications by zero, which the fast kernels more than make up for.
    """
    _, width, channels, features = kernel.shape
    across = images.shape[2] + sum(padding[1]) - width + 1
    neighbours = 4 if channels <= 4 else 2
    narrow = max(channels, features) <= _NARROW
    if not narrow or width == 1 or strides[1] != 1 or across % neighbours:
        return _convolve(images, kernel, strides, padding)
    outer = [(n, neighbours - 1 - n) for n in range(neighbours)]
    copies = [jnp.pad(kernel, ((0, 0), columns, (0, 0), (0, 0))) for columns in outer]
    wide = jnp.concatenate(copies, axis=-1)
    outputs = _convolve(images, wide, (strides[0], neighbours), padding)
    return outputs.reshape(*outputs.shape[:2], across, features)


def _images_gradient(image_shape, kernel, cotangent, strides, padding) -> jax.Array:
    """The gradient of the images: the flipped kernel over the cotangent, spread out by the strides.

    It is the sum over all outputs that a pixel contributes to.
    """

    def pads(axis: int) -> tuple[int, int]:
        low = padding[axis][0]
        spread = (cotangent.shape[1 + axis] - 1) * strides[axis] + 1
        return kernel.shape[axis] - 1 - low, image_shape[1 + axis] - spread + low

    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    if strides == (1, 1):
        return _convolve_widened(cotangent, flipped, strides, (pads(0), pads(1)))
    return lax.conv_general_dilated(
        cotangent,
        flipped,
        window_strides=(1, 1),
        padding=(pads(0), pads(1)),
        lhs_dilation=strides,
        dimension_numbers=_LAYOUT,
    )


def _kernel_gradient(images, kernel, cotangent, strides, padding) -> jax.Array:
    """The gradient of the kernel: the images convolved with the cotangent as the kernel.

    It is a sum over examples and outputs, so channels take the place of examples, and examples that
    of channels. For a 1×1 kernel it is a product of matrices, which runs two to six times faster.
    """
    if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
        seen = images[:, :: strides[0], :: strides[1]]
        product = jnp.einsum("bijc,bijo->co", seen, cotangent, preferred_element_type=kernel.dtype)
        return product.reshape(kernel.shape)

    gradient = lax.conv_general_dilated(
        images.transpose(3, 1, 2, 0),
        cotangent.transpose(1, 2, 0, 3),
        window_strides=(1, 1),
        padding=_kernel_gradient_pads(images.shape, kernel.shape, cotangent, strides, padding),
        rhs_dilation=strides,
        dimension_numbers=_LAYOUT,
        preferred_element_type=kernel.dtype,
    )
    return gradient.transpose(1, 2, 0, 3)


def _kernel_gradient_pads(image_shape, kernel_shape, cotangent, strides, padding) -> Padding:
    """The zeros around the images where the cotangent is the kernel."""

    def pads(axis: int) -> tuple[int, int]:
        low = padding[axis][0]
        spread = (cotangent.shape[1 + axis] - 1) * strides[axis]
        return low, kernel_shape[axis] + spread - image_shape[1 + axis] - low

    return pads(0), pads(1)
