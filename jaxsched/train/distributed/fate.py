"""The common end of processes that train together: when one fails, all do, and say why.

Without it the others wait in an exchange with the one that has gone, for minutes. Each process that
fails leaves its reason in the coordinator's store, where the others look for one; the main process
leaves one for those that were killed.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from jaxsched.train.distributed import store
from jaxsched.train.distributed.last_words import LastWords
from jaxsched.train.distributed.presence import Presence
from jaxsched.train.distributed.processes import SILENT_SECONDS

_ENDED = "jaxsched/ended"
# How often to look for reasons, and how long a process may take to end by an error of its own.
_LOOK_SECONDS, _GRACE_SECONDS = 1.0, 5.0
# How long the main process waits for the reasons of the others once it ends, and they for its word.
_MAIN_SECONDS, _OTHERS_SECONDS = 10.0, 25.0
_FAILED = 1


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
        self._fails, self._left = threading.Event(), threading.Event()
        self._end = threading.Lock()
        self._presence = Presence(round(SILENT_SECONDS / _LOOK_SECONDS))
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._is_shared, self._is_main = store.count() > 1, store.own_number() == 0

    def __enter__(self) -> "EndTogether":
        if self._is_shared:
            self._last_words = LastWords(store.address(), _gone(0), _gone(store.own_number()))
            self._watcher.start()
            if not self._is_main:
                threading.Thread(target=self._watch_store, daemon=True).start()
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_shared:
            return
        text = "" if error is None else self._reason(error)
        if error is None or not text:
            self._left.set()
            self._watcher.join()
            with contextlib.suppress(store.StoreError):
                self._presence.leave()
            self._last_words.farewell()
            return
        self._fails.set()
        if other := self._reason_of_others():
            _print_reason(other)
        status = self._report(error)
        self._tell(other or f"process {store.own_number()}: {text}")
        self._exit(status)

    def _watch(self) -> None:
        """Waits for another process's reason; ends this process unless it soon ends by itself."""
        while not self._left.wait(_LOOK_SECONDS):
            with contextlib.suppress(store.StoreError):
                self._presence.show()
                if self._is_main:
                    _name_gone(set(self._presence.gone()))
            if self._fails.is_set():
                continue  # it ends by itself, and may still wait for the store
            if (reason := self._reason_of_others()) and not self._ends_itself():
                _print_reason(reason)
                self._tell(reason)
                self._exit(_FAILED)

    def _ends_itself(self) -> bool:
        """Whether the main thread soon leaves, by an error or in order."""
        return self._fails.wait(_GRACE_SECONDS) or self._left.is_set()

    def _watch_store(self) -> None:
        """Ends this process when the main one, which has the store, is silent."""
        while not self._left.wait(_LOOK_SECONDS):
            if self._presence.store_has_gone():
                _print_reason(_gone(0))
                self._exit(_FAILED)

    def _exit(self, status: int) -> NoReturn:
        """Ends the process at once: an ordinary end waits for processes that do not come."""
        self._end.acquire()  # by one thread alone
        self._last_words.farewell()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def _reason_of_others(self) -> str:
        """The reason of a process that has failed; "" if none has."""
        with contextlib.suppress(store.StoreError):
            for number, text in store.texts(_ENDED).items():
                if number != store.own_number():
                    return text
        return ""

    def _tell(self, reason: str) -> None:
        """Gives the reason to the others and waits until all have one; names those that are gone.

        JAX aborts a process that outlives the store, so the main process is the last one.
        """
        with contextlib.suppress(store.StoreError):
            store.leave_text(_ENDED, reason)
            seconds = _MAIN_SECONDS if self._is_main else _OTHERS_SECONDS
            missing = _wait_for(lambda: store.texts(_ENDED).keys() | self._presence.left(), seconds)
            if self._is_main:
                _name_gone(missing)
            ended = store.texts(_ENDED)
            gone = {number for number, text in ended.items() if text == _gone(number)}
            for number in gone:
                if ended[number] != reason:
                    print(ended[number], file=sys.stderr, flush=True)
            self._presence.leave()
            if self._is_main:
                _wait_for(lambda: self._presence.left() | gone, _MAIN_SECONDS)
                time.sleep(_LOOK_SECONDS)  # they have left the store, and end now


def _wait_for(found: Callable[[], set[int]], seconds: float) -> set[int]:
    """Waits until all processes are found; returns the numbers of those that are not."""
    end = time.monotonic() + seconds
    while (missing := set(range(store.count())) - found()) and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS / 5)
    return missing


def _name_gone(numbers: set[int]) -> None:
    """Leaves a reason for each process that could not leave its own."""
    for number in numbers - set(store.texts(_ENDED)):
        store.leave_text(_ENDED, _gone(number), number)


def _gone(number: int) -> str:
    return (
        f"process {number} has gone without a word: it was killed, or its machine or the network "
        "failed; start all processes again with --resume"
    )


def _print_reason(reason: str) -> None:
    print(f"this process ends because another has failed: {reason}", file=sys.stderr, flush=True)
