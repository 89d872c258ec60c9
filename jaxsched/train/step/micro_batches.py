"""A replica's part of a batch, and how it is taken: at once, or in micro-batches in turn."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Batch(NamedTuple):
    """A replica's part of a batch, or a micro-batch of it."""

    images: jax.Array  # compute dtype [B, H, W, C], normalised
    labels: jax.Array  # int32[B]
    keys: jax.Array  # key<>[B], one an example, for dropout


class MicroBatches(NamedTuple):
    """A replica's part of a batch, of which a network sees one micro-batch at a time."""

    at: Callable[[Any], Batch]  # from the index of a micro-batch
    count: int

    @classmethod
    def one(cls, batch: Batch) -> "MicroBatches":
        """The part as a whole."""
        return cls(lambda index: batch, 1)

    def total(self, of: Callable[[Batch], Any], axis_name: str | None = None) -> Any:
        """A tree of arrays added up over the micro-batches.

        Args:
            of: from a micro-batch.
            axis_name: the mapped axis over replicas, if there is one.
        """
        if self.count == 1:
            return of(self.at(0))

        def add(index: jax.Array, total: Any) -> Any:
            return jax.tree.map(jnp.add, total, of(self.at(index)))

        def zeros(like: Any) -> jax.Array:
            none = jnp.zeros(like.shape, like.dtype)
            # Under shard_map with check_vma, what enters a loop has to vary as what leaves it does.
            return none if axis_name is None else lax.pcast(none, axis_name, to="varying")

        like = jax.eval_shape(lambda: of(self.at(0)))
        return lax.fori_loop(0, self.count, add, jax.tree.map(zeros, like))


def num_micro_batches(
    part: int, *, most: int | None = None, group: int | None = None, least: int = 1
) -> int:
    """How many micro-batches a device takes its part of a batch in: as few as it may.

    Args:
        part: examples of a batch that each device has.
        most: examples that a device takes at a time; None for all.
        group: examples that a network normalises together; None for the whole batch.
        least: of the micro-batches.

    Raises:
        ValueError: when the part cannot be taken so, with what to do.

    Example:
        >>> from jaxsched.train.step.micro_batches import num_micro_batches
        >>> num_micro_batches(1280, most=300, group=128)
        5
    """
    if least == 1 and (most is None or part <= most):
        return 1
    if group is None:
        raise ValueError(
            f"a batch cannot be taken in micro-batches of {most or part // least} where batch norm "
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
            f"{part} examples a device cannot be taken in {wanted}{limit}, multiples of the "
            f"{group} that are normalised together; use {advice} (multiples of {least * group} a "
            "device always can)."
        )
    return counts[0]
