"""Feeds of a set that lies on every device as uint8: a block is the whole set."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.data import Images
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
    """

    split = ()

    def __init__(
        self, driver: Driver, images: Images, order: EpochShuffle, preparation: Preprocess
    ):
        self._driver, self._order, self._preparation = driver, order, preparation
        self._arrays = driver.replicate((images.images, images.labels))

    def like(self, size: int) -> DeviceBlock:
        """The set itself, from an example on."""
        del size
        order = jax.ShapeDtypeStruct((2 * self._order.num_examples,), np.int32)
        return *(np.int32(0),) * 3, *self._driver.replicated_like((order, *self._arrays))

    def blocks(
        self, seed: int | tuple[int, ...], epoch: int, place: int, size: int, count: int
    ) -> Iterator[tuple[int, DeviceBlock]]:
        """All batches at once; of several runs, each with its own seed and order."""
        del size
        numbers = (np.asarray(seed, np.int32), np.int32(epoch), np.int32(place))
        yield count, (*numbers, self._order(seed, epoch), *self._arrays)

    def rows(self, shard: TakeShard, size: int, index: jax.Array, block: DeviceBlock) -> BatchRows:
        """The examples at the batch's places of two epochs, and the epoch of each."""
        _, epoch, place, order, _, _ = block
        places = shard(place + index * size + jnp.arange(size))
        return epoch + places // self._order.num_examples, order[places]

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """These examples as these epochs augment them."""
        (epochs, examples), (seed, _, _, _, images, labels) = rows, block
        return self._preparation.batch(
            lambda keys: self._preparation.augment(images, examples, keys),
            labels[examples],
            seed,
            epochs,
            examples,
        )

    def stop(self) -> None:
        """Nothing is read."""


class OnDeviceEvaluation:
    """The test set in batches of one size. See `EvaluationFeed`."""

    split = ()

    def __init__(self, driver: Driver, images: Images, batch_size: int, preparation: Preprocess):
        self._num_images, self._batch_size = len(images), batch_size
        self._preparation = preparation
        self._arrays = driver.replicate((images.images, images.labels))

    def like(self) -> DeviceBlock:
        """The set itself."""
        return self._arrays

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """The set itself."""
        yield -(-self._num_images // self._batch_size), self._arrays

    def rows(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """The batch's images in file order; what fills up the last batch is its last image."""
        images, labels = block
        places = shard(index * self._batch_size + jnp.arange(self._batch_size))
        examples = jnp.minimum(places, self._num_images - 1)
        return EvaluationBatch(
            self._preparation.normalise(images[examples]),
            labels[examples],
            places < self._num_images,
        )
