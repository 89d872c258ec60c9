"""The wish of another process, or of the user, that a run be saved and end."""

import signal
import threading
from types import FrameType
from typing import Any


class Preempted(BaseException):
    """What runs was told to stop, and what is to be kept is saved.

    No `Exception`, as KeyboardInterrupt is none, so that nobody takes it for what went wrong.

    Args:
        number: the signal that told it.
        where: in words, such as "and saved at update 5".

    Attributes:
        number: as given.
    """

    def __init__(self, number: int, where: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {where}")
        self.number = number


class SignalHandler:
    """Takes SIGTERM (preemption) and SIGINT (Ctrl-C) as the wish to save and stop.

    They are looked at between dispatches, so also one that comes during compilation or evaluation
    is heeded. A second Ctrl-C stops at once, without saving. Elsewhere than in the main thread,
    which alone can take signals, it takes none.
    """

    def __init__(self):
        self.received: int | None = None

    def __enter__(self) -> "SignalHandler":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number
