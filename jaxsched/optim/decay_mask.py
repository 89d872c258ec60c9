"""Which parameters the weight decay shrinks."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

# The parameters that decay; see `SGD`.
DecayMask: TypeAlias = Literal["all", "kernels"]

# The names that Flax gives the parameters which "kernels" spares. A vector is spared by its shape
# as well; but embeddings are matrices, and so are an attention's biases, one row a head.
_SPARED = {"bias", "scale", "embedding"}


def decay_mask(mask: DecayMask) -> Callable[[Any], Any] | None:
    """Returns the function from parameters to a tree of flags, True where a parameter decays.

    "kernels" is what decays usually: the kernels of convolutions, dense layers and attention, but
    neither biases nor norms' scales nor embeddings. These are the parameters with at least two
    dimensions whose own name is not "bias", "scale" or "embedding".

    Args:
        mask: "all" or "kernels".

    Returns:
        The function, or None for "all", where nothing is to be masked.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.optim.decay_mask import decay_mask
        >>> kernels = decay_mask("kernels")
        >>> kernels({"head": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}})
        {'head': {'bias': False, 'kernel': True}}
    """
    if mask == "all":
        return None

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        names = [jax.tree_util.keystr((entry,), simple=True) for entry in path]
        if names[-1:] == ["value"]:  # of a variable of Flax NNX, whose name stands before it
            del names[-1]
        return jnp.ndim(leaf) >= 2 and not _SPARED.intersection(names[-1:])

    return lambda params: jax.tree_util.tree_map_with_path(decays, params)
