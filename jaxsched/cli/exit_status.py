"""The exit statuses of the commands, in one table that `jaxsched --help` prints."""

import signal
from enum import IntEnum


class ExitStatus(IntEnum):
    """The statuses of commands that no signal ended."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    DIVERGED = 3


# Added to a signal's number, as shells do.
SIGNALLED = 128

_MEANINGS = {
    f"{ExitStatus.DONE:d}": "done, also for a study some of whose runs diverged",
    f"{ExitStatus.FAILED:d}": "a run failed, or `check-data` found a broken image",
    f"{ExitStatus.BAD_INPUT:d}": "bad input, and nothing was trained",
    f"{ExitStatus.DIVERGED:d}": "the run of `train` diverged",
    f"{SIGNALLED + signal.SIGTERM}, {SIGNALLED + signal.SIGINT} or {SIGNALLED + signal.SIGHUP}": (
        "stopped by SIGTERM, Ctrl-C or SIGHUP and saved, so that the same command (`train` with "
        "--resume) goes on"
    ),
}
TABLE = f"Exit status: {'; '.join(f'{n} {meaning}' for n, meaning in _MEANINGS.items())}."
