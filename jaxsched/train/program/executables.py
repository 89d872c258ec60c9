"""Executables ahead of their use: one a batch size, the next ones compiled while a run trains."""

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
    """What an executable cost.

    Attributes:
        batch_size: that it makes updates of.
        seconds: that compiling it took, in the background unless it is a run's first.
        waited_seconds: of these, the devices stood still; not part of any training time.
    """

    batch_size: int
    seconds: float
    waited_seconds: float = 0.0


class _Compiled(NamedTuple):
    """What the background hands over."""

    executable: Callable[..., Any]
    seconds: float


class Executables:
    """Each batch size's executable, compiled once, in one thread beside the one that trains.

    Only tracing holds Python up, for a tenth of a second or so; XLA compiles without it. Nothing is
    run in the thread: computations of several processes have to start in the same order everywhere.

    Args:
        compile_for: from a batch size to its executable.
    """

    def __init__(self, compile_for: Callable[[int], Callable[..., Any]]):
        self._compile_for = compile_for
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._begun: dict[int, Future[_Compiled]] = {}
        self._waited: dict[int, float] = {}

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Begins to compile what has not been begun yet, one after another."""
        for size in batch_sizes:
            if size not in self._begun:
                self._begun[size] = self._thread.submit(self._timed, size)

    def is_compiled(self, batch_size: int) -> bool:
        """Whether it can be had without waiting."""
        return batch_size in self._begun and self._begun[batch_size].done()

    def __getitem__(self, batch_size: int) -> Callable[..., Any]:
        """The executable; waits for it where it is not ready."""
        self.prepare((batch_size,))
        begun, start = self._begun[batch_size], time.perf_counter()
        if not begun.done():
            begun.exception()
            self._waited[batch_size] = time.perf_counter() - start
        return begun.result().executable

    def check(self) -> None:
        """Raises what went wrong in the background so far."""
        for begun in self._begun.values():
            if begun.done():
                begun.result()

    def stop(self) -> None:
        """Leaves what has not been begun for later."""
        self._begun = {size: begun for size, begun in self._begun.items() if not begun.cancel()}

    def costs(self) -> tuple[Compilation, ...]:
        """Of all that are ready, in order; what failed is not among them."""
        return tuple(
            Compilation(size, begun.result().seconds, self._waited.get(size, 0.0))
            for size, begun in self._begun.items()
            if begun.done() and begun.exception() is None
        )

    def _timed(self, batch_size: int) -> _Compiled:
        start = time.perf_counter()
        executable = self._compile_for(batch_size)
        return _Compiled(executable, time.perf_counter() - start)


def keep_compiled() -> None:
    """Keeps what XLA compiles in the user's cache folder, so that a second run need not compile.

    To be called before anything compiles. A folder that the user has chosen by
    JAX_COMPILATION_CACHE_DIR is used instead, and JAX_ENABLE_COMPILATION_CACHE=0 keeps nothing. An
    entry has some 200 kB; JAX could bound the sum, but with a lock that processes wait for.
    """
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = platformdirs.user_cache_path("jaxsched") / "compiled"
        jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
