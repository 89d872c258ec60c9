"""Lets a command outlive the terminal that it prints on."""

import errno
import io
import os
import sys
from typing import Any


class _Terminal(io.FileIO):
    """A terminal; once it is closed, what is written to it goes nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)


def outlive_terminal() -> None:
    """Drops what stdout and stderr get once their terminal is closed, where it would be an error.

    Work is not lost then. SIGHUP, which comes a moment later, saves a run and ends it; a run that
    ignores SIGHUP goes on to its end, and one that had just ended succeeds. For scripts of users,
    `SignalHandler` does so once SIGHUP has come.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A notebook or a test may have put anything there.
        if not isinstance(stream, io.TextIOWrapper) or not stream.isatty():
            continue
        stream.flush()
        terminal = io.BufferedWriter(_Terminal(os.dup(stream.fileno()), "w"))
        setattr(sys, name, io.TextIOWrapper(terminal, stream.encoding, line_buffering=True))
