"""Batches of streamed images, read and decoded ahead of their use."""

import gc
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxsched.data.dataset import StreamedImages
from jaxsched.extras import require_extra

# How many batches all workers together read ahead, and so how many wait in host memory.
_BATCHES_AHEAD = 16


class HostBatch(NamedTuple):
    """A batch in host memory."""

    images: np.ndarray  # uint8[B, H, W, C]
    labels: np.ndarray  # int32[B]


class BatchReader:
    """Reads examples in a given order, in batches.

    The batches do not depend on the number of threads and processes that read them.

    Args:
        dataset: the split to read from.
        examples: int[n], the indices of the examples in order; n is a multiple of the batch size.
        epochs: int[n], the epoch in which each example is seen; None for evaluation, in which
            nothing is random.
        batch_size: examples a batch.
        seed: the run's seed.
        workers: the number of processes to read in. They import the main script again, so it needs
            an `if __name__ == "__main__"`. 0 reads in threads of this process, which is enough if
            decoding is cheap: only the decoding itself runs in several threads at once.

    Raises:
        ValueError: when the examples make no whole number of batches; while reading, when an
            example cannot be read.
        RuntimeError: while reading, when a worker was killed.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import Digits, BatchReader, Streamed
        >>> digits = Streamed(Digits()).load().train
        >>> with BatchReader(digits, np.arange(6), None, batch_size=3, seed=0) as reader:
        ...     [batch.images.shape for batch in reader]
        [(3, 8, 8, 1), (3, 8, 8, 1)]
    """

    def __init__(
        self,
        dataset: StreamedImages,
        examples: np.ndarray,
        epochs: np.ndarray | None,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
    ):
        if len(examples) % batch_size:
            raise ValueError(
                f"BatchReader needs a multiple of batch_size={batch_size} examples, got "
                f"{len(examples)}; leave some out or repeat some."
            )
        # Imported here, because data in memory needs no Grain.
        require_extra("BatchReader", "train", "grain", "absl")
        import grain
        from absl import flags

        batches = grain.MapDataset.source(_Requests(dataset, examples, epochs, seed)).batch(
            batch_size
        )
        ahead = max(2, _BATCHES_AHEAD // max(1, workers))
        options = grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=ahead)
        batches = batches.to_iter_dataset(options)
        if workers:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # Grain reads its own flags; the defaults will do
            # Each worker makes whole batches, so the number of workers changes no batch.
            batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
        self._iterator: Any = iter(batches)
        self._workers = workers

    def start(self) -> None:
        """Begins to read before the first batch is requested."""
        self._iterator.start_prefetch()

    def __iter__(self) -> Iterator[HostBatch]:
        for batch in self._iterator:
            # A worker's batch lies in memory shared with it; the copy lets the worker reuse that.
            yield HostBatch(*map(np.array, batch) if self._workers else batch)
        self.close()

    def close(self) -> None:
        """Stops reading. Iterating to the end does so too; a second call does nothing."""
        if self._iterator is None:
            return
        self._iterator.close()
        self._iterator = None
        if self._workers:
            # Grain's iterators refer to each other in a cycle and hold each worker's last batch in
            # shared memory, which would stay allocated until the next garbage collection.
            gc.collect()

    def __enter__(self) -> "BatchReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Requests:
    """The examples to read, as a sequence for Grain."""

    def __init__(
        self, dataset: StreamedImages, examples: np.ndarray, epochs: np.ndarray | None, seed: int
    ):
        self._dataset, self._examples, self._epochs = dataset, examples, epochs
        self._seed = seed

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
        example, random = int(self._examples[index]), None
        if self._epochs is not None:
            random = np.random.default_rng((self._seed, int(self._epochs[index]), example))
        return self._dataset.read(example, random)
