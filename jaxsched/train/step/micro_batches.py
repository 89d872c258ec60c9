"""A replica's part of a batch, used as a whole or in micro-batches, one after another."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxsched.tasks.task import Inputs


class Batch(NamedTuple):
    """A replica's part of a batch, or a micro-batch of it."""

    inputs: Inputs
    keys: jax.Array  # key<>[B], one for each example, for dropout


class MicroBatches(NamedTuple):
    """A replica's part of a batch, of which the network sees one micro-batch at a time."""

    at: Callable[[Any], Batch]  # returns a micro-batch by its index
    count: int

    @classmethod
    def one(cls, batch: Batch) -> "MicroBatches":
        """Returns the whole part as one micro-batch."""
        return cls(lambda index: batch, 1)

    def total(self, compute: Callable[[Batch], Any], axis_name: str | None = None) -> Any:
        """Computes a tree of arrays for each micro-batch and returns the sum.

        Args:
            compute: returns the tree for a micro-batch.
            axis_name: the mapped axis over replicas, if there is one.
        """
        if self.count == 1:
            return compute(self.at(0))

        def add(index: jax.Array, total: Any) -> Any:
            return jax.tree.map(jnp.add, total, compute(self.at(index)))

        def zeros(like: Any) -> jax.Array:
            zero = jnp.zeros(like.shape, like.dtype)
            # Under shard_map with check_vma, a loop's first carry has to vary over the axis as its
            # later ones do, although these zeros are the same on all replicas.
            return zero if axis_name is None else lax.pcast(zero, axis_name, to="varying")

        like = jax.eval_shape(lambda: compute(self.at(0)))
        return lax.fori_loop(0, self.count, add, jax.tree.map(zeros, like))


def num_micro_batches(
    part: int, *, most: int | None = None, group: int | None = None, least: int = 1
) -> int:
    """Returns the smallest number of micro-batches that a device's part of a batch can be cut into.

    Args:
        part: the examples of a batch that each device has.
        most: the most examples in a micro-batch; None for no limit.
        group: the examples that the network normalises together; None for the whole batch.
        least: the smallest number of micro-batches allowed.

    Raises:
        ValueError: when the part cannot be cut so; the message says what to do.

    Example:
        >>> from jaxsched.train.step.micro_batches import num_micro_batches
        >>> num_micro_batches(1280, most=300, group=128)
        5
    """
    if least == 1 and (most is None or part <= most):
        return 1
    if group is None:
        raise ValueError(
            f"a batch cannot be cut into micro-batches of {most or part // least} when batch norm "
            f"looks at all of it ({part} examples a device); give the network "
            "norm=BatchNorm(ghost=…) or a GroupNorm; or leave max_device_batch out, and noise "
            "unless there are two devices under driver='pmap'."
        )
    fitting = [n for n in range(least, part // group + 1) if part % (n * group) == 0]
    counts = [n for n in fitting if most is None or part // n <= most]
    if not counts:
        wanted = f"at least {least} micro-batches" if least > 1 else "micro-batches"
        limit = "" if most is None else f" of at most {most}"
        smallest = min((part // n for n in fitting), default=part)
        advice = f"max_device_batch={smallest} or more" if fitting else "other batch sizes"
        raise ValueError(
            f"{part} examples a device cannot be cut into {wanted}{limit}, multiples of the "
            f"{group} that are normalised together; use {advice} (multiples of {least * group} a "
            "device always can be cut)."
        )
    return counts[0]
