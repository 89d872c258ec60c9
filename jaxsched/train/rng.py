"""The streams of random numbers that a seed stands for."""

import jax
from jax.typing import ArrayLike

# What each use is folded in with: fixed, because they define a seed's run.
_STREAMS = {"weights": 0, "order": 1, "augmentation": 2, "dropout": 3}


def random_key(seed: ArrayLike, use: str) -> jax.Array:
    """The key of one use of randomness, independent of those of the others.

    Args:
        seed: int32[], of the run.
        use: "weights", "order", "augmentation" or "dropout".
    """
    return jax.random.fold_in(jax.random.key(seed), _STREAMS[use])
