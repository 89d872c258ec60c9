"""Threads or processes that read examples, and live until they are closed."""

import os
import signal
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any

from jaxsched.data.dataset import StreamedExamples
from jaxsched.data.fields import check_whole
from jaxsched.data.transforms.pillow_settings import PillowSettings

# More than there are cores, because some wait for a disk.
_THREADS = 16


class ReadWorkers:
    """Reads examples of some splits, for any number of readers one after another or at once.

    Processes start with it, not with the first request, because Python's start and the imports take
    seconds. They take over Pillow's settings as they are then (`MAX_IMAGE_PIXELS`,
    `LOAD_TRUNCATED_IMAGES`, registered formats), but no other setting that a script makes at run
    time.

    Args:
        datasets: the splits, of which each process gets a copy.
        processes: how many processes; they import the main script again, so it needs an
            `if __name__ == "__main__"`. 0 reads in threads of this process, which is enough if
            decoding is cheap: only the decoding itself runs in several threads at once.

    Attributes:
        processes: how many processes.

    Raises:
        ValueError: when `processes` is no whole number of at least 0.

    Example:
        >>> from jaxsched.data import Digits, ReadWorkers, Streamed
        >>> digits = Streamed(Digits()).load().train
        >>> with ReadWorkers([digits]) as workers:
        ...     workers.submit(len, digits).result()
        1493
    """

    def __init__(self, datasets: Sequence[StreamedExamples], processes: int = 0):
        check_whole("ReadWorkers", "processes", processes, least=0)
        self.processes, self._datasets = processes, tuple(datasets)
        if processes:
            self._executor: Executor = ProcessPoolExecutor(
                processes,
                mp_context=get_context("spawn"),  # a fork of a process with threads may hang
                initializer=_begin,
                initargs=(self._datasets, PillowSettings.of_this_process()),
            )
            for _ in range(processes):
                self._executor.submit(_nothing)
        else:
            self._executor = ThreadPoolExecutor(_THREADS)
        self._end = weakref.finalize(self, _shut_down, self._executor)

    def submit(
        self, function: Callable[..., Any], dataset: StreamedExamples, *arguments: Any
    ) -> Future[Any]:
        """Calls `function(dataset, *arguments)` in a worker.

        Args:
            function: a function at the top of a module.
            dataset: one of the splits.
            arguments: pickled for a process.
        """
        if not self.processes:
            return self._executor.submit(function, dataset, *arguments)
        number = next(n for n, known in enumerate(self._datasets) if known is dataset)
        return self._executor.submit(_call, function, number, arguments)

    def close(self) -> None:
        """Ends the workers; requests that have not begun are cancelled."""
        self._end()

    def __enter__(self) -> "ReadWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shut_down(executor: Executor) -> None:
    # The garbage collector may call this in a thread of the executor, which cannot wait for itself.
    here = threading.current_thread() is threading.main_thread()
    executor.shutdown(wait=here, cancel_futures=True)


# The splits that a worker process reads, from its start on.
_datasets: tuple[StreamedExamples, ...] = ()


def _begin(datasets: tuple[StreamedExamples, ...], settings: PillowSettings) -> None:
    """Prepares a worker process."""
    global _datasets
    _datasets = datasets
    settings.apply()
    # Ctrl-C and SLURM's signal reach all processes of a group; the first one saves what is to be
    # saved, for which it may still read, and ends the workers.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, even if that was killed."""
    parent = parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)


def _nothing() -> None:
    """Makes the executor start a process."""


def _call(function: Callable[..., Any], number: int, arguments: tuple[Any, ...]) -> Any:
    return function(_datasets[number], *arguments)
