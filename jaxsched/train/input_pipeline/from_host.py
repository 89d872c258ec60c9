"""Feeds of a set that is read record by record: a block is one batch, divided over the devices."""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.data import BatchReader, StreamedImages
from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.input_pipeline.base import (
    BatchRows,
    DeviceBlock,
    EpochShuffle,
    EvaluationBatch,
    Preprocess,
)
from jaxsched.train.step.micro_batches import Batch

# So many batches before the end of an epoch, the reading of the next epoch begins.
_BATCHES_AHEAD = 16


class FromHostTraining:
    """Training batches read on the host, which runs ahead of the devices, and augmented on these.

    Each process reads only what its own devices work on. There is nothing to save of it: where the
    reading goes on follows from the plan. See `TrainingFeed`.
    """

    split = (1, 2, 3, 4)  # all but the seed

    def __init__(
        self,
        driver: Driver,
        records: StreamedImages,
        order: EpochShuffle,
        preparation: Preprocess,
        workers: int,
    ):
        self._driver, self._records, self._workers = driver, records, workers
        self._order, self._preparation = order, preparation
        self._next: tuple[int, ...] | None = None
        self._coming: Generator[DeviceBlock, None, None] | None = None

    def like(self, size: int) -> DeviceBlock:
        """A batch."""
        numbers = self._driver.divided_like((size,), np.int32)
        images = self._driver.divided_like((size, *self._records.image_shape), np.uint8)
        return np.int32(0), numbers, numbers, images, numbers

    def blocks(
        self, seed: int, epoch: int, place: int, size: int, count: int
    ) -> Iterator[tuple[int, DeviceBlock]]:
        """One batch after another; reading goes on from where the call before ended."""
        at = epoch * len(self._records) + place
        for first in range(at, at + count * size, size):
            if self._coming is None or self._next != (seed, size, first):
                self.stop()
                self._coming = self._read(seed, size, first)
            yield 1, next(self._coming)
            self._next = seed, size, first + size

    def rows(self, shard: TakeShard, size: int, index: jax.Array, block: DeviceBlock) -> BatchRows:
        """The batch itself."""
        del shard, size, index
        return block[1:]

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """The rows, augmented one by one."""
        seed = block[0]
        epochs, examples, images, labels = rows

        def augmented(keys: jax.Array) -> jax.Array:
            def one(image: jax.Array, key: jax.Array) -> jax.Array:
                first = jnp.zeros(1, jnp.int32)
                return self._preparation.augment(image[None], first, key[None])[0]

            return jax.vmap(one)(images, keys)

        return self._preparation.batch(augmented, labels, seed, epochs, examples)

    def stop(self) -> None:
        """Ends the reading."""
        if self._coming is not None:
            self._coming.close()
            self._coming = None

    def _read(self, seed: int, size: int, first: int) -> Generator[DeviceBlock, None, None]:
        """The batches from the `first` example of the endless stream on."""
        epoch, following = self._epoch(seed, size, first), None
        try:
            while True:
                for number, batch in enumerate(epoch.reading):
                    if following is None and number + _BATCHES_AHEAD >= len(epoch.examples):
                        following = self._epoch(seed, size, first + len(epoch.examples) * size)
                        following.reading.start()
                    rows = (epoch.epochs[number], epoch.examples[number], *batch)
                    yield np.int32(seed), *map(self._driver.divide, rows)
                assert following is not None  # every epoch has a last batch
                first += len(epoch.examples) * size
                epoch, following = following, None
        finally:
            for begun in filter(None, (epoch, following)):
                begun.reading.close()

    def _epoch(self, seed: int, size: int, first: int) -> "_Epoch":
        """The batches that start in the same epoch as the `first` example."""
        num_examples = len(self._records)
        epoch, place = divmod(first, num_examples)
        count = -(-(num_examples - place) // size)
        places = np.arange(place, place + count * size).reshape(count, size)
        places = places[:, self._driver.own_rows(size)]
        examples = np.asarray(self._order(seed, epoch))[places]
        epochs = (epoch + places // num_examples).astype(np.int32)
        reading = BatchReader(
            self._records,
            examples.ravel(),
            epochs.ravel(),
            batch_size=places.shape[1],
            seed=seed,
            workers=self._workers,
        )
        return _Epoch(examples, epochs, reading)


class _Epoch(NamedTuple):
    """The batches that start in one epoch, and this process's part of each."""

    examples: np.ndarray  # int32[batches, rows]
    epochs: np.ndarray  # int32[batches, rows]
    reading: BatchReader


class FromHostEvaluation:
    """The test set, read anew at each evaluation. See `EvaluationFeed`."""

    split = (0, 1, 2)

    def __init__(
        self,
        driver: Driver,
        records: StreamedImages,
        batch_size: int,
        preparation: Preprocess,
        workers: int,
    ):
        self._driver, self._records, self._workers = driver, records, workers
        self._batch_size, self._preparation = batch_size, preparation

    def like(self) -> DeviceBlock:
        """A batch."""
        size = self._batch_size
        images = self._driver.divided_like((size, *self._records.image_shape), np.uint8)
        return (
            images,
            self._driver.divided_like((size,), np.int32),
            self._driver.divided_like((size,), bool),
        )

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """One batch after another; what fills up the last one is its last image."""
        num_images, size = len(self._records), self._batch_size
        places = np.arange(-(-num_images // size) * size).reshape(-1, size)
        places = places[:, self._driver.own_rows(size)]
        with BatchReader(
            self._records,
            np.minimum(places, num_images - 1).ravel(),
            None,
            batch_size=places.shape[1],
            seed=0,
            workers=self._workers,
        ) as reading:
            for batch, counts in zip(reading, places < num_images, strict=True):
                yield 1, tuple(map(self._driver.divide, (*batch, counts)))

    def rows(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """The batch itself."""
        del shard, index
        images, labels, counts = block
        return EvaluationBatch(self._preparation.normalise(images), labels, counts)
