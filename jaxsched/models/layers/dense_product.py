"""The product of a dense layer whose weights are wider than what it multiplies."""

import functools
from typing import Any, TypeAlias

import jax
from jax import lax

_Axes: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
# The axes of the inputs and of the kernel that are summed over, and those of a batch of kernels.
DimensionNumbers: TypeAlias = tuple[_Axes, _Axes]


def dense_product(
    inputs: jax.Array, kernel: jax.Array, dimension_numbers: DimensionNumbers, precision: Any = None
) -> jax.Array:
    """Multiplies in the dtype of the inputs; the gradient of a wider kernel stays as wide.

    Formula:
        y[…, o] = Σ_i x[…, i] · w[i, o],    i and o each one index or several

    Args:
        inputs: […, i].
        kernel: [i, o], with the dtype of the inputs or a wider one.
        dimension_numbers: as `lax.dot_general` takes them: the last axes of the inputs with the
            first ones of the kernel.
        precision: as `lax.dot_general` takes it.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x, w = jnp.ones((4, 3), jnp.bfloat16), jnp.ones((3, 2))
        >>> y, pull_back = jax.vjp(lambda w: dense_product(x, w, (((1,), (0,)), ((), ()))), w)
        >>> str(y.dtype), str(pull_back(y)[0].dtype)
        ('bfloat16', 'float32')
    """
    if inputs.dtype == kernel.dtype:
        return lax.dot_general(inputs, kernel, dimension_numbers, precision)
    return _mixed_product(inputs, kernel, dimension_numbers, precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _mixed_product(inputs, kernel, dimension_numbers, precision):
    return lax.dot_general(inputs, kernel.astype(inputs.dtype), dimension_numbers, precision)


def _forward(inputs, kernel, dimension_numbers, precision):
    return _mixed_product(inputs, kernel, dimension_numbers, precision), (inputs, kernel)


def _backward(dimension_numbers, precision, saved, cotangent):
    inputs, kernel = saved

    def product(inputs: jax.Array) -> jax.Array:
        return lax.dot_general(inputs, kernel.astype(inputs.dtype), dimension_numbers, precision)

    (inputs_gradient,) = jax.vjp(product, inputs)[1](cotangent)
    examples = tuple(range(inputs.ndim - len(dimension_numbers[0][0])))
    kernel_gradient = lax.dot_general(
        inputs,
        cotangent,
        ((examples, examples), ((), ())),
        precision,
        preferred_element_type=kernel.dtype,
    )
    return inputs_gradient, kernel_gradient


_mixed_product.defvjp(_forward, _backward)
