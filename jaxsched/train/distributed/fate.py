"""The common end of processes that train together: when one fails, all do, and say why.

Without it the others wait in an exchange with the one that has gone, for minutes. Each process that
fails writes its reason into the store of JAX's coordinator, where the others look for one.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

import jax
from jax._src import distributed  # JAX has no public name for the store; Orbax uses this one

_ENDED = "jaxsched/ended"
# How often to look for reasons, and how long a process may take to end by an error of its own.
_LOOK_SECONDS, _GRACE_SECONDS = 1.0, 5.0
# How long a process that fails waits for the others; the main one, which has the store, is last.
_OTHERS_SECONDS, _MAIN_SECONDS = 10.0, 15.0
_LAST_SECONDS = 2.0
_FAILED = 1


def store() -> Any:
    """The client of the coordinator's store of keys and values, where processes are connected."""
    return distributed.global_state.client


class EndTogether:
    """Context manager: ends all processes when one of them leaves it by an error.

    A process whose main thread waits for one that has failed prints that one's reason and exits
    with 1; a process that was killed is named by the others. It does nothing for one process.

    Args:
        reason: returns the text of an error; "" for an end that all processes share.
        report: prints an error and returns the process's exit status.
    """

    def __init__(
        self, reason: Callable[[BaseException], str], report: Callable[[BaseException], int]
    ):
        self._reason, self._report = reason, report
        self._left = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._is_shared = store() is not None and jax.process_count() > 1

    def __enter__(self) -> "EndTogether":
        if self._is_shared:
            self._watcher.start()
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        if not self._is_shared or error is None or not (text := self._reason(error)):
            return
        if other := self._reason_of_others():
            _print_reason(other)
        status = self._report(error)
        self._tell(other or f"process {jax.process_index()}: {text}")
        _exit(status)

    def _watch(self) -> None:
        """Waits for another process's reason; ends this process unless it soon ends by itself."""
        while not self._left.wait(_LOOK_SECONDS):
            if (reason := self._reason_of_others()) and not self._left.wait(_GRACE_SECONDS):
                _print_reason(reason)
                self._tell(reason)
                _exit(_FAILED)

    def _reason_of_others(self) -> str:
        """The reason of a process that has failed; "" if none has."""
        own = str(jax.process_index())
        return next((text for number, text in _ended().items() if number != own), "")

    def _tell(self, reason: str) -> None:
        """Gives the reason to the others and waits until all have it; names those that are gone."""
        try:
            store().key_value_set(f"{_ENDED}/{jax.process_index()}", reason)
        except jax.errors.JaxRuntimeError:
            return  # process 0 has gone, and the store with it
        is_main = jax.process_index() == 0
        end = time.monotonic() + (_MAIN_SECONDS if is_main else _OTHERS_SECONDS)
        everyone = set(map(str, range(jax.process_count())))
        while (missing := everyone - set(_ended())) and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS / 5)
        if is_main:
            time.sleep(_LAST_SECONDS)  # JAX aborts a process that outlives the store
        if missing:
            numbers = ", ".join(sorted(missing, key=int))
            print(
                f"process {numbers} has gone without a word: it was killed, or its machine or the "
                "network failed; start all processes again with --resume",
                file=sys.stderr,
                flush=True,
            )


def _ended() -> dict[str, str]:
    """The reason that each ended process has left, by its number."""
    try:
        entries = store().key_value_dir_get(_ENDED)
    except jax.errors.JaxRuntimeError:
        return {}
    return {key.rpartition("/")[2]: text for key, text in entries}


def _exit(status: int) -> NoReturn:
    """Ends the process at once: an ordinary end waits for processes that do not come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _print_reason(reason: str) -> None:
    print(f"this process ends because another has failed: {reason}", file=sys.stderr, flush=True)
