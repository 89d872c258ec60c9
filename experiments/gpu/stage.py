"""A stage of quarter_hour.py: a command that may be cut off, and goes on when it is run again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

LOOK_SECONDS, GRACE_SECONDS = 30.0, 60.0


class Stage(NamedTuple):
    """A stage.

    Attributes:
        name: its name.
        command: what it runs.
        share: its part of the time, beside the shares of the others; 0 for all that is left.
        obstacle: what keeps it from running here.
    """

    name: str
    command: list[str]
    share: float = 0.0
    obstacle: str | None = None

    def run(
        self, seconds: float, log: Path, environment: Mapping[str, str], look: Callable[[], None]
    ) -> int | None:
        """Runs the command for at most so long, and never longer than this process.

        Args:
            seconds: how long; then SIGTERM ends it, and SIGKILL if it takes a minute over that.
            log: the file that its output is added to.
            environment: its variables.
            look: is called every half minute.

        Returns:
            Its exit status; None if it was cut off.
        """
        end = time.monotonic() + seconds
        with open(log, "a", encoding="utf-8") as out:
            # In a group of its own, which holds the processes that it starts.
            process = subprocess.Popen(
                self.command, stdout=out, stderr=out, env=environment, process_group=0
            )
            try:
                while (left := end - time.monotonic()) > 0:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        return process.wait(min(left, LOOK_SECONDS))
                    look()
                return None
            finally:
                if process.poll() is None:
                    _end(process)


def _end(process: subprocess.Popen) -> None:
    """Ends the process and its group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
