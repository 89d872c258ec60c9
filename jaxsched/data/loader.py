"""Batches of records, read and decoded ahead of their use."""

import gc
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxsched.data.dataset import Records
from jaxsched.extras import require_extra

# Read ahead by all workers together, in batches; also what the batches waiting for the devices take
# of the host's memory.
_BATCHES_AHEAD = 16


class HostBatch(NamedTuple):
    """A batch in host memory."""

    images: np.ndarray  # uint8[B, H, W, C]
    labels: np.ndarray  # int32[B]


class BatchReader:
    """Reads these records in this order, in batches, which do not depend on how it is done.

    Args:
        records: to read from.
        examples: int[n], which of them, in which order; n is a multiple of the batch size.
        epochs: int[n], the epoch in which each is seen; None for evaluation, in which nothing is
            random.
        batch_size: examples a batch.
        seed: of the run.
        workers: processes to read in; they import the main script anew, so that it needs an
            `if __name__ == "__main__"`. 0 reads in threads of this process, which is enough where
            decoding is cheap: Python runs one thread at a time but for the decoding itself.

    Raises:
        ValueError: when the examples make no whole number of batches; in a read, as `Records.read`.
        RuntimeError: in a read, when a worker was killed.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import Digits, BatchReader, Streamed
        >>> digits = Streamed(Digits()).load().train
        >>> with BatchReader(digits, np.arange(6), None, batch_size=3, seed=0) as reading:
        ...     [batch.images.shape for batch in reading]
        [(3, 8, 8, 1), (3, 8, 8, 1)]
    """

    def __init__(
        self,
        records: Records,
        examples: np.ndarray,
        epochs: np.ndarray | None,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
    ):
        if len(examples) % batch_size:
            raise ValueError(
                f"Reading needs a multiple of batch_size={batch_size} examples, got "
                f"{len(examples)}; leave some out or repeat some."
            )
        # Imported here, because data in memory needs no Grain.
        require_extra("BatchReader", "train", "grain", "absl")
        import grain
        from absl import flags

        batches = grain.MapDataset.source(_Requests(records, examples, epochs, seed)).batch(
            batch_size
        )
        ahead = max(2, _BATCHES_AHEAD // max(1, workers))
        options = grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=ahead)
        dataset = batches.to_iter_dataset(options)
        if workers:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # Grain's own, by their defaults
            # Whole batches go to one worker after another, so their number changes none of them.
            dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
        self._iterator: Any = iter(dataset)
        self._workers = workers

    def start(self) -> None:
        """Begins to read before the first batch is asked for."""
        self._iterator.start_prefetch()

    def __iter__(self) -> Iterator[HostBatch]:
        for batch in self._iterator:
            # Copied out of the memory that is shared with a worker, which is then free again.
            yield HostBatch(*map(np.array, batch) if self._workers else batch)
        self.close()

    def close(self) -> None:
        """Stops reading, as the end of the examples does; a second time it does nothing."""
        if self._iterator is None:
            return
        self._iterator.close()
        self._iterator = None
        if self._workers:
            # Grain's iterators refer to each other, and hold each worker's last batch in memory
            # that is shared: it would stay until Python next looks for such cycles.
            gc.collect()

    def __enter__(self) -> "BatchReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Requests:
    """What is to be read, one example after another, as Grain takes it."""

    def __init__(
        self, records: Records, examples: np.ndarray, epochs: np.ndarray | None, seed: int
    ):
        self._records, self._examples, self._epochs = records, examples, epochs
        self._seed = seed

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
        example, random = int(self._examples[index]), None
        if self._epochs is not None:
            random = np.random.default_rng((self._seed, int(self._epochs[index]), example))
        return self._records.read(example, random)
