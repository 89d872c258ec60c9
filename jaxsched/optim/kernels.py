"""Which parameters are kernels: what decays usually, and what ABEL may measure alone."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import optax

# All parameters, or the kernels alone; see `kernel_mask`.
Which: TypeAlias = Literal["all", "kernels"]

# The names that Flax gives other parameters. A vector is none by its shape as well; but embeddings
# are matrices, and so are the biases of an attention layer, one row a head.
_OTHERS = {"bias", "scale", "embedding"}


def mask_of(which: Which) -> Callable[[optax.Params], optax.Params] | None:
    """Returns the mask as Optax takes it: a function of the parameters, or None for all of them."""
    return kernel_mask if which == "kernels" else None


def kernel_mask(params: optax.Params) -> optax.Params:
    """Returns a tree of flags, True for the kernels of convolutions, dense layers and attention.

    Biases, the scales of norms and embeddings are none. A kernel is a parameter of at least two
    dimensions whose own name is not "bias", "scale" or "embedding".

    Args:
        params: the parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.optim.kernels import kernel_mask
        >>> kernel_mask({"head": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}})
        {'head': {'bias': False, 'kernel': True}}
    """

    def is_kernel(path: tuple[Any, ...], leaf: Any) -> bool:
        names = [jax.tree_util.keystr((entry,), simple=True) for entry in path]
        if names[-1:] == ["value"]:  # of a variable of Flax NNX, whose name stands before it
            del names[-1]
        return jnp.ndim(leaf) >= 2 and not _OTHERS.intersection(names[-1:])

    return jax.tree_util.tree_map_with_path(is_kernel, params)
