"""Signals that ask a run to save itself and end: preemption and Ctrl-C."""

import signal
import threading
from types import FrameType
from typing import Any


class Preempted(BaseException):
    """A signal has ended the program, and what had to be saved is saved.

    It is no `Exception`, as KeyboardInterrupt is none, so that no handler of errors takes it for a
    failure.

    Args:
        number: the signal.
        where: how far the program had come, in words such as "and saved at update 5".

    Attributes:
        number: the signal.
    """

    def __init__(self, number: int, where: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {where}")
        self.number = number


class SignalHandler:
    """Context manager: remembers SIGTERM (preemption) and SIGINT (Ctrl-C) instead of dying of them.

    The loop looks at `received` between two dispatches, so a signal that comes during compilation
    or evaluation is obeyed too, after it. A second Ctrl-C stops the program at once, without
    saving. Python delivers signals to the main thread only: in another thread this does nothing.

    Attributes:
        received: the last signal; None before the first.
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
