"""Feeds of a data set that lies on every device: a block is the whole set."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.tasks import TaskFunctions
from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.input_pipeline.base import (
    BatchRows,
    DeviceBlock,
    EpochShuffle,
    EvaluationBatch,
    RowKeys,
    unflattened,
)
from jaxsched.train.step.micro_batches import Batch


class OnDeviceTraining:
    """Training batches gathered and augmented on the device, many in one dispatch.

    See `TrainingFeed`.

    Args:
        driver: the devices.
        arrays: the arrays of all examples, each `flattened` and placed by `Driver.replicate`; or
            only their shapes, which suffice to compile.
        elements: the shape of each part of one example.
        shuffle: the order of the examples.
        task: augments them.
    """

    split: tuple[int, ...] = ()

    def __init__(
        self,
        driver: Driver,
        arrays: tuple[Any, ...],
        elements: tuple[jax.ShapeDtypeStruct, ...],
        shuffle: EpochShuffle,
        task: TaskFunctions,
    ):
        self._driver, self._arrays, self._elements = driver, arrays, elements
        self._shuffle, self._task = shuffle, task

    def like(self, size: int) -> DeviceBlock:
        """See `TrainingFeed.like`."""
        del size
        order = jax.ShapeDtypeStruct((2 * self._shuffle.num_examples,), np.int32)
        return *(np.int32(0),) * 3, *self._driver.replicated_like((order, *self._arrays))

    def blocks(
        self, seed: int | tuple[int, ...], epoch: int, offset: int, size: int, count: int
    ) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields all batches as one block; a population gives the seed of each member."""
        del size
        numbers = (np.asarray(seed, np.int32), np.int32(epoch), np.int32(offset))
        yield count, (*numbers, self._shuffle(seed, epoch), *self._arrays)

    def rows(self, shard: TakeShard, size: int, index: jax.Array, block: DeviceBlock) -> BatchRows:
        """Returns the epoch and the index of each example."""
        _, epoch, offset, order, *_ = block
        places = shard(offset + index * size + jnp.arange(size))
        return epoch + places // self._shuffle.num_examples, order[places]

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """See `TrainingFeed.batch`."""
        (epochs, examples), (seed, _, _, _, *arrays) = rows, block
        keys = RowKeys.of(seed, epochs, examples)
        batch = _gathered(arrays, self._elements, examples)
        return Batch(self._task.training_inputs(batch, keys.augmentation), keys.dropout)

    def stop(self) -> None:
        """Does nothing: nothing is read ahead."""


class OnDeviceEvaluation:
    """The test set in batches of one size. See `EvaluationFeed`.

    Args:
        arrays: the arrays of all examples, each `flattened` and placed by `Driver.replicate`; or
            only their shapes, which suffice to compile.
        elements: the shape of each part of one example.
        batch_size: the size of each batch.
        task: makes the network's inputs of them.
    """

    split: tuple[int, ...] = ()

    def __init__(
        self,
        arrays: tuple[Any, ...],
        elements: tuple[jax.ShapeDtypeStruct, ...],
        batch_size: int,
        task: TaskFunctions,
    ):
        self._arrays, self._elements = arrays, elements
        self._batch_size, self._task = batch_size, task
        self._num_examples = arrays[0].shape[0]

    def like(self) -> DeviceBlock:
        """See `EvaluationFeed.like`."""
        return self._arrays

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields the whole set as one block."""
        yield -(-self._num_examples // self._batch_size), self._arrays

    def check_readable(self) -> None:
        """Does nothing: all examples have been read."""

    def batch(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """Returns examples in their order; the last one fills up the last batch."""
        places = shard(index * self._batch_size + jnp.arange(self._batch_size))
        examples = jnp.minimum(places, self._num_examples - 1)
        inputs = self._task.evaluation_inputs(_gathered(block, self._elements, examples))
        return EvaluationBatch(inputs, places < self._num_examples)


def _gathered(
    arrays: Sequence[Any], elements: Sequence[Any], examples: jax.Array
) -> tuple[Any, ...]:
    """The parts of these examples, in their shapes."""
    # The mode leaves out the code that handles negative and too large indices.
    rows = [
        array.at[examples].get(mode="promise_in_bounds", wrap_negative_indices=False)
        for array in arrays
    ]
    return unflattened(rows, elements)
