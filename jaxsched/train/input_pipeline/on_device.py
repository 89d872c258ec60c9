"""Feeds of a data set that lies on every device as uint8: a block is the whole set."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.input_pipeline.base import (
    BatchRows,
    DeviceBlock,
    EpochShuffle,
    EvaluationBatch,
    Preprocess,
)
from jaxsched.train.step.micro_batches import Batch


class OnDeviceTraining:
    """Training batches gathered and augmented on the device, many in one dispatch.

    See `TrainingFeed`.

    Args:
        driver: the devices.
        arrays: all images, uint8[N, H, W, C], and labels, int32[N], placed by
            `Driver.replicate`; or only their shapes, which suffice to compile.
        shuffle: the order of the examples.
        preprocess: augments and normalises them.
    """

    split: tuple[int, ...] = ()

    def __init__(
        self,
        driver: Driver,
        arrays: tuple[Any, Any],
        shuffle: EpochShuffle,
        preprocess: Preprocess,
    ):
        self._driver, self._arrays = driver, arrays
        self._shuffle, self._preprocess = shuffle, preprocess

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
        _, epoch, offset, order, _, _ = block
        places = shard(offset + index * size + jnp.arange(size))
        return epoch + places // self._shuffle.num_examples, order[places]

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """See `TrainingFeed.batch`."""
        (epochs, examples), (seed, _, _, _, images, labels) = rows, block
        return self._preprocess.batch(
            lambda keys: self._preprocess.augment(images, examples, keys),
            labels[examples],
            seed,
            epochs,
            examples,
        )

    def stop(self) -> None:
        """Does nothing: nothing is read ahead."""


class OnDeviceEvaluation:
    """The test set in batches of one size. See `EvaluationFeed`.

    Args:
        arrays: all images, uint8[N, H, W, C], and labels, int32[N], placed by
            `Driver.replicate`; or only their shapes, which suffice to compile.
        batch_size: the size of each batch.
        preprocess: normalises the images.
    """

    split: tuple[int, ...] = ()

    def __init__(self, arrays: tuple[Any, Any], batch_size: int, preprocess: Preprocess):
        self._arrays, self._batch_size, self._preprocess = arrays, batch_size, preprocess
        _, labels = arrays
        (self._num_images,) = labels.shape

    def like(self) -> DeviceBlock:
        """See `EvaluationFeed.like`."""
        return self._arrays

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields the whole set as one block."""
        yield -(-self._num_images // self._batch_size), self._arrays

    def check_readable(self) -> None:
        """Does nothing: all examples have been read."""

    def batch(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """Returns images in file order; the last image fills up the last batch."""
        images, labels = block
        places = shard(index * self._batch_size + jnp.arange(self._batch_size))
        examples = jnp.minimum(places, self._num_images - 1)
        return EvaluationBatch(
            self._preprocess.normalise(images[examples]),
            labels[examples],
            places < self._num_images,
        )
