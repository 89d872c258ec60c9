"""Brings a data set to the devices: at once where it is in memory, else batch by batch."""

from typing import NamedTuple

from jaxsched.data import Dataset, Images, ReadWorkers
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.input_pipeline.base import (
    EVALUATION_BATCH,
    EpochShuffle,
    EvaluationFeed,
    Preprocess,
    TrainingFeed,
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
    driver: Driver, dataset: Dataset, preprocess: Preprocess, read_workers: int = 0
) -> PlacedData:
    """Copies a data set in memory to every device, or prepares to read it from the host.

    Args:
        driver: the devices.
        dataset: each split may be in memory or read example by example.
        preprocess: turns stored images into what the network takes.
        read_workers: processes that read and decode streamed data, for as long as what this
            returns is in use; 0 does it in threads.
    """
    train, test, shards = dataset.train, dataset.test, driver.num_shards
    shuffle = EpochShuffle(driver, len(train))
    streamed = [split for split in (train, test) if not isinstance(split, Images)]
    # One set of workers for all, because processes take seconds to start.
    workers = ReadWorkers(streamed, read_workers if streamed else 0)
    if isinstance(train, Images):
        training = OnDeviceTraining(driver, _replicate(driver, train), shuffle, preprocess)
        statistics = training
    else:
        # Each reads ahead on its own, so that reading for statistics does not throw away the
        # batches that were read ahead for the next updates.
        training, statistics = (
            FromHostTraining(driver, train, shuffle, preprocess, workers) for _ in range(2)
        )
    batch_size = -(-min(EVALUATION_BATCH, len(test)) // shards) * shards
    if isinstance(test, Images):
        arrays = _replicate(driver, test)
        evaluation = OnDeviceEvaluation(arrays, batch_size, preprocess)
    else:
        evaluation = FromHostEvaluation(driver, test, batch_size, preprocess, workers)
    return PlacedData(shuffle, training, statistics, evaluation)


def _replicate(driver: Driver, images: Images) -> tuple:
    return driver.replicate((images.images, images.labels))
