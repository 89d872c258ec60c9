"""Locks of files, which end with the process that holds them, however it ends."""

import os
from pathlib import Path

from filelock import FileLock, Timeout


def take(path: Path) -> FileLock | None:
    """Takes the lock that this file stands for, until `release`; None where it is held.

    The file holds the number of the process, see `holder`. It stays; whoever holds the lock may
    remove it.

    Args:
        path: of the file, which is made; its folder is there.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "lock"
        >>> lock = take(path)
        >>> take(path) is None, holder(path) == str(os.getpid())
        (True, True)
        >>> lock.release()
        >>> take(path) is None
        False
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    # Padded and in place: nothing of the process before remains, and a full disk has room for it.
    with path.open("r+") as file:
        file.write(f"{os.getpid():<20}")
    return lock


def holder(path: Path) -> str:
    """The number of the process that holds a lock, or held it last."""
    return path.read_text().strip()
