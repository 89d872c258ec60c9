"""Brings a data set to the devices: at once where it is in memory, else batch by batch."""

from typing import Any, NamedTuple

from jaxsched.data import Dataset, Examples, ReadWorkers
from jaxsched.tasks import TaskFunctions
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.input_pipeline.base import (
    EVALUATION_BATCH,
    EpochShuffle,
    EvaluationFeed,
    TrainingFeed,
    flattened,
)
from jaxsched.train.input_pipeline.from_host import FromHostEvaluation, FromHostTraining
from jaxsched.train.input_pipeline.on_device import OnDeviceEvaluation, OnDeviceTraining


class PlacedData(NamedTuple):
    """A data set as a program's devices receive it."""

    epoch_shuffle: EpochShuffle
    training: TrainingFeed
    statistics: TrainingFeed  # the training examples again, for batch-norm statistics
    evaluation: EvaluationFeed


def place_data(
    driver: Driver, dataset: Dataset, task: TaskFunctions, read_workers: int = 0
) -> PlacedData:
    """Copies a data set in memory to every device, or prepares to read it from the host.

    Args:
        driver: the devices.
        dataset: each split may be in memory or read example by example.
        task: turns stored examples into what the network takes.
        read_workers: processes that read and decode streamed data, for as long as what this
            returns is in use; 0 does it in threads.
    """
    train, test, shards = dataset.train, dataset.test, driver.num_shards
    shuffle = EpochShuffle(driver, len(train))
    streamed = [split for split in (train, test) if not isinstance(split, Examples)]
    # One set of workers for all, because processes take seconds to start.
    workers = ReadWorkers(streamed, read_workers if streamed else 0)
    if isinstance(train, Examples):
        arrays = _placed(driver, train)
        training = OnDeviceTraining(driver, arrays, train.elements, shuffle, task)
        statistics = training
    else:
        # Each reads ahead on its own, so that reading for statistics does not throw away the
        # batches that were read ahead for the next updates.
        training, statistics = (
            FromHostTraining(driver, train, shuffle, task, workers) for _ in range(2)
        )
    most = min(EVALUATION_BATCH, task.most_evaluated or EVALUATION_BATCH, len(test))
    batch_size = -(-most // shards) * shards
    if isinstance(test, Examples):
        evaluation = OnDeviceEvaluation(_placed(driver, test), test.elements, batch_size, task)
    else:
        evaluation = FromHostEvaluation(driver, test, batch_size, task, workers)
    return PlacedData(shuffle, training, statistics, evaluation)


def _placed(driver: Driver, examples: Examples) -> tuple[Any, ...]:
    """The arrays of all examples on every device, each example flat."""
    return driver.replicate(tuple(map(flattened, examples.arrays)))
