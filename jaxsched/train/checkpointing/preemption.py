"""Signals that ask a run to save itself and end: preemption, Ctrl-C and a closed terminal."""

import os
import signal
import threading
from types import FrameType
from typing import Any

# SIGHUP comes when the terminal is closed or the connection to it is lost.
_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_OUTPUTS = (1, 2)  # the file descriptors of standard output and standard error


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
    """Context manager: remembers SIGTERM, SIGINT and SIGHUP instead of dying of them.

    These are sent for preemption, by Ctrl-C and when the terminal is closed; the last stays ignored
    in a process that was started by `nohup`.

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
        self._terminals = [output for output in _OUTPUTS if os.isatty(output)]
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                by_nohup = number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
                if not by_nohup:
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
        if number == signal.SIGHUP:
            self._leave_closed_terminals()

    def _leave_closed_terminals(self) -> None:
        """Sends output to nowhere, because writing to a closed terminal would be an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in self._terminals:
            if not os.isatty(output):
                os.dup2(nowhere, output)
        os.close(nowhere)
