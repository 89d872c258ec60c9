"""The random keys of a run, all derived from its seed."""

import jax
from jax.typing import ArrayLike

# The number that is folded into the seed's key for each use. With other numbers a seed would stand
# for another run.
_USES = {"weights": 0, "order": 1, "augmentation": 2, "dropout": 3}


def random_key(seed: ArrayLike, use: str) -> jax.Array:
    """Returns the random key for one use, independent of the keys for other uses.

    Args:
        seed: int32[], the run's seed.
        use: "weights", "order", "augmentation" or "dropout".
    """
    return jax.random.fold_in(jax.random.key(seed), _USES[use])
