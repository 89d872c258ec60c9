"""The common part of all feeds of batches: contract, random keys and the order of examples.

There are two kinds of feed: a whole data set on the devices (`on_device.py`), and batches streamed
from the host (`from_host.py`). Both keep the contracts below, so that an experiment gives the same
run through either.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.data import epoch_order, example_keys
from jaxsched.tasks.task import Inputs
from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.rng import random_key
from jaxsched.train.step.micro_batches import Batch

# Enough to keep a GPU busy; a CPU is indifferent.
EVALUATION_BATCH = 512

# The arrays that a program is called with for one dispatch, on the devices or traced.
DeviceBlock: TypeAlias = tuple[Any, ...]
# The arrays that a feed makes a batch of, each [B, …]; which ones is up to the feed.
BatchRows: TypeAlias = tuple[jax.Array, ...]


class TrainingFeed(Protocol):
    """The endless stream of training examples, epoch after epoch.

    A program is called once for each block, with the number of batches that the block holds. The
    program itself calls `rows` and `batch`, which are traced.

    Attributes:
        split: the positions of the block's arrays of which each device has a part.
    """

    split: tuple[int, ...]

    def like(self, size: int) -> DeviceBlock:
        """Returns the shapes of a block of batches of this size, to compile for."""
        ...

    def blocks(
        self, seed: int, epoch: int, offset: int, size: int, count: int
    ) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields the next `count` batches in blocks, each with its number of batches.

        Args:
            seed: the run's seed.
            epoch: the epoch of the first example.
            offset: the place of the first example in its epoch.
            size: the batch size.
            count: the number of batches in all.
        """
        ...

    def rows(self, shard: TakeShard, size: int, index: jax.Array, block: DeviceBlock) -> BatchRows:
        """Returns this replica's part of one batch of a block, before augmentation; traced."""
        ...

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """Augments these rows, or some of them; traced."""
        ...

    def stop(self) -> None:
        """Ends reading ahead; a later call of `blocks` starts it anew."""
        ...


class EvaluationBatch(NamedTuple):
    """A replica's part of a batch to evaluate; the last batch is filled up."""

    inputs: Inputs
    counts: jax.Array  # bool[B], False for what fills up


class EvaluationFeed(Protocol):
    """The examples that evaluations run on; see `TrainingFeed`.

    Attributes:
        split: the positions of the block's arrays of which each device has a part.
    """

    split: tuple[int, ...]

    def like(self) -> DeviceBlock:
        """Returns the shapes of a block, to compile for."""
        ...

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields all examples in blocks, each with its number of batches."""
        ...

    def check_readable(self) -> None:
        """Raises `ValueError` if a later call of `blocks` would because of an example."""
        ...

    def batch(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """Returns this replica's part of one batch of a block; traced."""
        ...


class RowKeys(NamedTuple):
    """The random keys of a training batch, key<>[B], one for each example."""

    augmentation: jax.Array
    dropout: jax.Array

    @classmethod
    def of(cls, seed: jax.Array, epochs: jax.Array, examples: jax.Array) -> "RowKeys":
        """Returns the keys of these examples.

        Args:
            seed: the run's seed.
            epochs: int32[B], the epoch of each example.
            examples: int32[B], the index of each example in the data set.
        """
        return cls(
            *(example_keys(random_key(seed, name), epochs, examples) for name in cls._fields)
        )


def flattened(array: Any) -> Any:
    """Returns [B, …] as [B, all the rest]; of a shape alone, the shape of that.

    A TPU may pad the last axis to 128, which for images of three channels is 43 times the bytes,
    and gathers whole examples faster where each is one row. So examples stay flat until a task
    takes them.
    """
    if array.ndim <= 2:
        return array
    shape = len(array), math.prod(array.shape[1:])
    is_shape = isinstance(array, jax.ShapeDtypeStruct)
    return jax.ShapeDtypeStruct(shape, array.dtype) if is_shape else array.reshape(shape)


def unflattened(rows: Sequence[Any], elements: Sequence[Any]) -> tuple[Any, ...]:
    """Returns the rows in the shapes of their elements again."""
    return tuple(
        row.reshape(len(row), *element.shape) for row, element in zip(rows, elements, strict=True)
    )


class EpochShuffle:
    """The order in which an epoch and the one after it visit the examples.

    Two epochs, because a batch may straddle the boundary between them.

    Args:
        driver: the order lies on its devices.
        num_examples: the number of examples of an epoch.
    """

    def __init__(self, driver: Driver, num_examples: int):
        def draw_two_epochs(seed: jax.Array, epoch: jax.Array) -> jax.Array:
            key = random_key(seed, "order")
            return jnp.concatenate([epoch_order(key, epoch + i, num_examples) for i in (0, 1)])

        self.num_examples, self._draw = num_examples, driver.initialise(draw_two_epochs)
        self._last: tuple[tuple[int | tuple[int, ...], int], jax.Array] | None = None

    def __call__(self, seed: int | tuple[int, ...], epoch: int) -> jax.Array:
        """Returns int32[2 N], on every device; for several seeds, one such row a member.

        The last result is kept, since all dispatches of an epoch use the same.
        """
        if self._last is None or self._last[0] != (seed, epoch):
            self._last = (seed, epoch), self._draw(np.asarray(seed, np.int32), np.int32(epoch))
        return self._last[1]
