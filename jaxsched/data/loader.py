"""Batches of streamed examples, read and decoded ahead of their use."""

import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from typing import NamedTuple, TypeAlias

import numpy as np

from jaxsched.data.dataset import StreamedExamples
from jaxsched.data.read_workers import ReadWorkers

# How many batches are read ahead at least, and so how many wait in host memory.
_BATCHES_AHEAD = 16
# A worker reads so many examples at a time: few, so that all workers share a batch, and that the
# end of a reader need not wait long; but not one, as each request costs a tenth of a millisecond.
_EXAMPLES_AT_A_TIME = 16


# The parts of a batch's examples, each [B, …], in host memory.
HostBatch: TypeAlias = tuple[np.ndarray, ...]


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
        workers: who reads; they live on when the reader is closed. A number starts so many
            processes for this reader alone, or threads for 0.

    Raises:
        ValueError: when the examples make no whole number of batches; while reading, when an
            example cannot be read.
        RuntimeError: while reading, when a worker was killed.
        OSError: while reading, when the memory that processes share is full.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import Digits, BatchReader, Streamed
        >>> digits = Streamed(Digits()).load().train
        >>> with BatchReader(digits, np.arange(6), None, batch_size=3, seed=0) as reader:
        ...     [images.shape for images, labels in reader]
        [(3, 8, 8, 1), (3, 8, 8, 1)]
    """

    def __init__(
        self,
        dataset: StreamedExamples,
        examples: np.ndarray,
        epochs: np.ndarray | None,
        *,
        batch_size: int,
        seed: int,
        workers: ReadWorkers | int = 0,
    ):
        if len(examples) % batch_size:
            raise ValueError(
                f"BatchReader needs a multiple of batch_size={batch_size} examples, got "
                f"{len(examples)}; leave some out or repeat some."
            )
        self._dataset, self._seed, self._batch_size = dataset, seed, batch_size
        self._examples, self._epochs = examples, epochs
        self._own_workers = not isinstance(workers, ReadWorkers)
        if not isinstance(workers, ReadWorkers):
            workers = ReadWorkers([dataset], workers)
        self._workers = workers
        # Every worker has a next request to go on with.
        busy = 2 * self._workers.processes * _EXAMPLES_AT_A_TIME
        self._most_ahead = max(_BATCHES_AHEAD, math.ceil(busy / batch_size))
        self._requested = 0  # examples
        self._ahead: deque[_Request] = deque()
        self._free: list[_SharedBlock] = []

    def start(self) -> None:
        """Begins to read before the first batch is requested."""
        while len(self._ahead) < self._most_ahead and self._requested < len(self._examples):
            self._ahead.append(self._request(self._requested))
            self._requested += self._batch_size

    def __iter__(self) -> Iterator[HostBatch]:
        try:
            while True:
                self.start()
                if not self._ahead:
                    return
                yield self._finish(self._ahead.popleft())
        finally:
            self.close()

    def close(self) -> None:
        """Stops reading. Iterating to the end does so too; a second call does nothing."""
        for request in self._ahead:
            for part in request.parts:
                part.cancel()
        for request in self._ahead:
            wait(request.parts)
            self._recycle(request)
        self._ahead.clear()
        self._requested = len(self._examples)
        for block in self._free:
            block.free()
        self._free.clear()
        if self._own_workers:
            self._workers.close()

    def __enter__(self) -> "BatchReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, first: int) -> "_Request":
        """Requests the batch that begins with this example."""
        layout = _layout(self._dataset, self._batch_size)
        if not self._workers.processes:
            target: HostBatch | _SharedBlock = tuple(np.empty(*part) for part in layout)
        else:
            target = self._free.pop() if self._free else _SharedBlock(layout)
        parts = []
        for start in range(0, self._batch_size, _EXAMPLES_AT_A_TIME):
            end = min(start + _EXAMPLES_AT_A_TIME, self._batch_size)
            here = slice(first + start, first + end)
            epochs = None if self._epochs is None else self._epochs[here]
            parts.append(
                self._workers.submit(
                    _read_part,
                    self._dataset,
                    self._examples[here],
                    epochs,
                    self._seed,
                    target.place if isinstance(target, _SharedBlock) else target,
                    start,
                )
            )
        return _Request(target, parts)

    def _finish(self, request: "_Request") -> HostBatch:
        """Waits for a batch."""
        try:
            for part in request.parts:
                part.result()
        except BrokenExecutor as error:
            raise RuntimeError(
                "A process that reads data ended unexpectedly. If it says nothing above, it was "
                "killed, mostly because the memory was full; use fewer of --read-workers."
            ) from error
        finally:
            wait(request.parts)
            if isinstance(request.target, _SharedBlock):
                batch = request.target.copy()
            else:
                batch = request.target
            self._recycle(request)
        return batch

    def _recycle(self, request: "_Request") -> None:
        if isinstance(request.target, _SharedBlock):
            self._free.append(request.target)


# The shape and dtype of each part of a batch.
_Layout: TypeAlias = tuple[tuple[tuple[int, ...], np.dtype], ...]


def _layout(dataset: StreamedExamples, batch_size: int) -> _Layout:
    return tuple(((batch_size, *e.shape), np.dtype(e.dtype)) for e in dataset.elements)


class _Place(NamedTuple):
    """Where a worker process writes the examples of a batch."""

    name: str  # of the shared memory
    layout: _Layout

    @contextmanager
    def open(self) -> Iterator[HostBatch]:
        """Yields the batch's parts."""
        memory = SharedMemory(self.name)
        try:
            yield _parts(memory, self.layout)
        finally:
            memory.close()


def _parts(memory: SharedMemory, layout: _Layout) -> HostBatch:
    """The parts of a batch, one after another in a piece of memory."""
    arrays, offset = [], 0
    for shape, dtype in layout:
        arrays.append(np.ndarray(shape, dtype, memory.buf, offset))
        offset += _padded_bytes(shape, dtype)
    return tuple(arrays)


def _padded_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The bytes of an array, filled up so that any dtype may come after it."""
    return -(-math.prod(shape) * dtype.itemsize // 8) * 8


class _SharedBlock:
    """Memory for a batch that worker processes write to."""

    def __init__(self, layout: _Layout):
        size = sum(_padded_bytes(*part) for part in layout)
        self._memory = SharedMemory(create=True, size=size)
        self.place = _Place(self._memory.name, layout)
        try:
            self._reserve()
        except OSError as error:
            self.free()
            raise OSError(
                f"The memory that processes share has no room for a batch of "
                f"{size / 1e6:,.0f} MB ({error.strerror}): start the container with "
                "more of it (docker run --shm-size=8g), or leave --read-workers out."
            ) from error

    def _reserve(self) -> None:
        """Takes the memory now: if it were full later, the worker that writes would be killed."""
        path = f"/dev/shm/{self._memory.name}"
        if os.path.exists(path):  # on Linux
            descriptor = os.open(path, os.O_RDWR)
            try:
                os.posix_fallocate(descriptor, 0, self._memory.size)
            finally:
                os.close(descriptor)

    def copy(self) -> HostBatch:
        """Returns the batch in memory of this process alone."""
        return tuple(part.copy() for part in _parts(self._memory, self.place.layout))

    def free(self) -> None:
        """Gives the memory back."""
        self._memory.close()
        self._memory.unlink()


class _Request(NamedTuple):
    """A batch that is being read, in parts."""

    target: HostBatch | _SharedBlock
    parts: list[Future[None]]


def _read_part(
    dataset: StreamedExamples,
    examples: np.ndarray,
    epochs: np.ndarray | None,
    seed: int,
    target: HostBatch | _Place,
    first: int,
) -> None:
    """Reads examples and writes them to a batch from `first` on."""
    if isinstance(target, _Place):
        with target.open() as arrays:
            return _read_part(dataset, examples, epochs, seed, arrays, first)
    for number, example in enumerate(map(int, examples)):
        random = None
        if epochs is not None:
            random = np.random.default_rng((seed, int(epochs[number]), example))
        found = tuple(map(np.asarray, dataset.read(example, random)))
        given = [f"{part.dtype}{list(part.shape)}" for part in found]
        expected = [f"{part.dtype}{list(part.shape[1:])}" for part in target]
        if given != expected:
            raise ValueError(
                f"{type(dataset).__name__}.read({example}) returned {', '.join(given)}; expected "
                f"{', '.join(expected)}, the split's `elements`."
            )
        for array, part in zip(target, found, strict=True):
            array[first + number] = part
