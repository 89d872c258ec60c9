"""The order of the examples in an epoch."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def epoch_order(key: jax.Array, epoch: ArrayLike, num_examples: int) -> jax.Array:
    """The permutation of one epoch, a pure function of the key and the epoch.

    Formula:
        permutation(fold_in(key, epoch), num_examples)

    Args:
        key: one typed key, used for the order alone. Give `example_keys` a different one, for
            instance the other half of a `jax.random.split`: with one key for both, the key that
            sorts an epoch would also augment its example 1, since `split` and `fold_in` derive the
            same children.
        epoch: int32[], may be traced.
        num_examples: the number of examples in an epoch, a Python number.

    Returns:
        int32[num_examples], each of 0 ... num_examples − 1 once.

    Raises:
        ValueError: when there is no example.

    Example:
        >>> import jax
        >>> from jaxsched.data import epoch_order
        >>> sorted(epoch_order(jax.random.key(0), 3, num_examples=5).tolist())
        [0, 1, 2, 3, 4]
    """
    if num_examples < 1:
        raise ValueError(f"epoch_order needs num_examples of at least 1, got {num_examples}.")
    examples = jnp.arange(num_examples, dtype=jnp.int32)
    return jax.random.permutation(jax.random.fold_in(key, epoch), examples)
