"""The dtype of the gradients of weights, in layers that compute in another dtype."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax.numpy as jnp
from jax.typing import DTypeLike

_CURRENT: ContextVar[DTypeLike] = ContextVar("gradient_dtype", default=jnp.float32)


def weight_dtype(dtype: DTypeLike) -> jnp.dtype:
    """Returns the dtype in which a layer that computes in `dtype` takes its weights.

    A compiler that splits a batch over devices adds up the gradient of a layer's weights in the
    dtype in which the layer takes them. So a layer in half precision takes them in float32, rounds
    them itself and leaves their gradient in float32; see `convolution` and `dense_product`.

    Example:
        >>> import jax.numpy as jnp
        >>> str(weight_dtype(jnp.bfloat16))
        'float32'
    """
    return jnp.promote_types(dtype, _CURRENT.get())


@contextmanager
def gradients_in(dtype: DTypeLike) -> Iterator[None]:
    """Traces gradients whose weights may be rounded to this dtype before devices add them up.

    Args:
        dtype: float32, the default elsewhere, or bfloat16 for half the bytes.

    Example:
        >>> import jax.numpy as jnp
        >>> with gradients_in(jnp.bfloat16):
        ...     str(weight_dtype(jnp.bfloat16)), str(weight_dtype(jnp.float32))
        ('bfloat16', 'float32')
    """
    token = _CURRENT.set(dtype)
    try:
        yield
    finally:
        _CURRENT.reset(token)
