"""Executables compiled before they are needed: one a batch size, in a thread beside the run."""

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import platformdirs


@dataclass(frozen=True)
class Compilation:
    """The cost of compiling one executable.

    Attributes:
        batch_size: the batch size of the executable's updates.
        seconds: seconds spent compiling it, in the background except for a run's first.
        waited_seconds: the part of these seconds during which the devices stood still; it counts
            towards no training time.
    """

    batch_size: int
    seconds: float
    waited_seconds: float = 0.0


class _Compiled(NamedTuple):
    """The result of a background compilation."""

    executable: Callable[..., Any]
    seconds: float


class Executables:
    """The executable of each batch size, compiled once, in one thread beside the one that trains.

    Only tracing holds Python up, for a tenth of a second or so; XLA compiles without the
    interpreter's lock. Nothing is run in the thread: computations of several processes have to
    start in the same order everywhere.

    Args:
        compile_for: maps a batch size to its executable.
    """

    def __init__(self, compile_for: Callable[[int], Callable[..., Any]]):
        self._compile_for = compile_for
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._futures: dict[int, Future[_Compiled]] = {}
        self._waited: dict[int, float] = {}

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Queues the compilation of these batch sizes, in order, where it is not queued yet."""
        for size in batch_sizes:
            if size not in self._futures:
                self._futures[size] = self._thread.submit(self._compile, size)

    def is_compiled(self, batch_size: int) -> bool:
        """Returns whether the executable is there without waiting."""
        return batch_size in self._futures and self._futures[batch_size].done()

    def __getitem__(self, batch_size: int) -> Callable[..., Any]:
        """Returns the executable; waits for it where it is not compiled yet."""
        self.prepare((batch_size,))
        future, start = self._futures[batch_size], time.perf_counter()
        if not future.done():
            future.exception()  # waits, and unlike `result` does not raise before the time is taken
            self._waited[batch_size] = time.perf_counter() - start
        return future.result().executable

    def check(self) -> None:
        """Raises the error of a compilation that has failed in the background so far."""
        for future in self._futures.values():
            if future.done():
                future.result()

    def stop(self) -> None:
        """Cancels the compilations that have not begun; `prepare` can queue them again."""
        self._futures = {
            size: future for size, future in self._futures.items() if not future.cancel()
        }

    def costs(self) -> tuple[Compilation, ...]:
        """Returns the costs of all that are compiled, in order, without those that failed."""
        return tuple(
            Compilation(size, future.result().seconds, self._waited.get(size, 0.0))
            for size, future in self._futures.items()
            if future.done() and future.exception() is None
        )

    def _compile(self, batch_size: int) -> _Compiled:
        start = time.perf_counter()
        executable = self._compile_for(batch_size)
        return _Compiled(executable, time.perf_counter() - start)


def keep_compiled() -> None:
    """Keeps what XLA compiles in the user's cache folder, so that a second run need not compile.

    To be called before anything compiles. A folder that the user has chosen by
    JAX_COMPILATION_CACHE_DIR is used instead, and JAX_ENABLE_COMPILATION_CACHE=0 keeps nothing. An
    entry has some 200 kB; JAX could bound their sum, but with a lock that processes wait for.
    """
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = platformdirs.user_cache_path("jaxsched") / "compiled"
        jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
