"""Feeds of a data set that is read example by example: a block is one batch, split over devices."""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxsched.data import BatchReader, ReadWorkers, StreamedExamples, find_unreadable
from jaxsched.tasks import TaskFunctions
from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.input_pipeline.base import (
    BatchRows,
    DeviceBlock,
    EpochShuffle,
    EvaluationBatch,
    RowKeys,
    flattened,
    unflattened,
)
from jaxsched.train.step.micro_batches import Batch

# Reading of the next epoch begins this many batches before the end of an epoch.
_BATCHES_AHEAD = 16


class FromHostTraining:
    """Training batches read ahead on the host and augmented on the devices.

    Each process reads only the examples that its own devices work on. A checkpoint holds nothing
    of the reader: the plan tells where reading goes on. See `TrainingFeed`.

    Args:
        driver: the devices.
        records: the training examples.
        shuffle: the order of the examples.
        task: augments them.
        workers: read and decode.
    """

    def __init__(
        self,
        driver: Driver,
        records: StreamedExamples,
        shuffle: EpochShuffle,
        task: TaskFunctions,
        workers: ReadWorkers,
    ):
        self._driver, self._records, self._workers = driver, records, workers
        self._shuffle, self._task = shuffle, task
        # All but the seed: the epochs, the examples and their parts.
        self.split: tuple[int, ...] = tuple(range(1, 3 + len(records.elements)))
        self._next: tuple[int, ...] | None = None
        self._batches: Generator[DeviceBlock, None, None] | None = None

    def like(self, size: int) -> DeviceBlock:
        """See `TrainingFeed.like`."""
        numbers = self._driver.divided_like((size,), np.int32)
        return np.int32(0), numbers, numbers, *_parts_like(self._driver, self._records, size)

    def blocks(
        self, seed: int, epoch: int, offset: int, size: int, count: int
    ) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields one batch after another; reading goes on from where the last call ended."""
        start = epoch * len(self._records) + offset
        for first in range(start, start + count * size, size):
            # What was read ahead is of use only if the caller goes on in the same stream.
            if self._batches is None or self._next != (seed, size, first):
                self.stop()
                self._batches = self._read(seed, size, first)
            yield 1, next(self._batches)
            self._next = seed, size, first + size

    def rows(self, shard: TakeShard, size: int, index: jax.Array, block: DeviceBlock) -> BatchRows:
        """Returns the batch itself, which is this replica's part already, each example flat."""
        del shard, size, index
        _, epochs, examples, *arrays = block
        return epochs, examples, *map(flattened, arrays)

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """See `TrainingFeed.batch`."""
        epochs, examples, *arrays = rows
        keys = RowKeys.of(block[0], epochs, examples)
        inputs = self._task.training_inputs(
            unflattened(arrays, self._records.elements), keys.augmentation
        )
        return Batch(inputs, keys.dropout)

    def stop(self) -> None:
        """Ends the reading."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _read(self, seed: int, size: int, first: int) -> Generator[DeviceBlock, None, None]:
        """Yields the batches from the `first` example of the endless stream on."""
        epoch, following = self._epoch(seed, size, first), None
        try:
            while True:
                for number, batch in enumerate(epoch.reader):
                    if following is None and number + _BATCHES_AHEAD >= len(epoch.examples):
                        following = self._epoch(seed, size, first + len(epoch.examples) * size)
                        following.reader.start()
                    rows = (epoch.epochs[number], epoch.examples[number], *batch)
                    yield np.int32(seed), *map(self._driver.divide, rows)
                assert following is not None  # every epoch has a last batch
                first += len(epoch.examples) * size
                epoch, following = following, None
        finally:  # also when the generator is closed
            for started in filter(None, (epoch, following)):
                started.reader.close()

    def _epoch(self, seed: int, size: int, first: int) -> "_Epoch":
        """Returns the batches that start in the same epoch as the `first` example."""
        num_examples = len(self._records)
        epoch, offset = divmod(first, num_examples)
        count = -(-(num_examples - offset) // size)
        places = np.arange(offset, offset + count * size).reshape(count, size)
        places = places[:, self._driver.own_rows(size)]
        # The last batch may go on into the next epoch, whose order the shuffle holds too.
        examples = np.asarray(self._shuffle(seed, epoch))[places]
        epochs = (epoch + places // num_examples).astype(np.int32)
        reader = BatchReader(
            self._records,
            examples.ravel(),
            epochs.ravel(),
            batch_size=places.shape[1],
            seed=seed,
            workers=self._workers,
        )
        return _Epoch(examples, epochs, reader)


class _Epoch(NamedTuple):
    """This process's part of the batches that start in one epoch."""

    examples: np.ndarray  # int32[batches, rows]
    epochs: np.ndarray  # int32[batches, rows]
    reader: BatchReader


class FromHostEvaluation:
    """The test set, read anew at each evaluation. See `EvaluationFeed`.

    Args:
        driver: the devices.
        records: the test examples.
        batch_size: the size of each batch.
        task: makes the network's inputs of them.
        workers: read and decode.
    """

    def __init__(
        self,
        driver: Driver,
        records: StreamedExamples,
        batch_size: int,
        task: TaskFunctions,
        workers: ReadWorkers,
    ):
        self._driver, self._records, self._workers = driver, records, workers
        self._batch_size, self._task = batch_size, task
        self.split: tuple[int, ...] = tuple(range(len(records.elements) + 1))

    def like(self) -> DeviceBlock:
        """See `EvaluationFeed.like`."""
        parts = _parts_like(self._driver, self._records, self._batch_size)
        return *parts, self._driver.divided_like((self._batch_size,), bool)

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """Yields one batch after another; the last example fills up the last batch."""
        num_examples, places = len(self._records), self._places()
        with BatchReader(
            self._records,
            np.minimum(places, num_examples - 1).ravel(),
            None,
            batch_size=places.shape[1],
            seed=0,
            workers=self._workers,
        ) as reader:
            for batch, counts in zip(reader, places < num_examples, strict=True):
                yield 1, tuple(map(self._driver.divide, (*batch, counts)))

    def check_readable(self) -> None:
        """Reads every example of this process once.

        It takes as long as the reading of one evaluation, and saves a run that would fail at its
        first evaluation, after an epoch.
        """
        places = self._places().ravel()
        examples = places[places < len(self._records)]
        errors = find_unreadable(self._records, self._workers, examples)
        if errors:
            raise ValueError(
                f"{len(errors):,} of {len(examples):,} examples to evaluate on cannot be read. The "
                f"first: {errors[0]} `jaxsched check-data CONFIG` lists all."
            )

    def _places(self) -> np.ndarray:
        """The examples of each batch that this process reads, int[batches, rows].

        Places from the number of examples on fill up the last batch.
        """
        size = self._batch_size
        places = np.arange(-(-len(self._records) // size) * size).reshape(-1, size)
        return places[:, self._driver.own_rows(size)]

    def batch(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """Returns the batch itself."""
        del shard, index
        *arrays, counts = block
        return EvaluationBatch(self._task.evaluation_inputs(tuple(arrays)), counts)


def _parts_like(driver: Driver, records: StreamedExamples, size: int) -> DeviceBlock:
    """The shapes of the parts of a batch, divided over the devices."""
    return tuple(driver.divided_like((size, *e.shape), e.dtype) for e in records.elements)
