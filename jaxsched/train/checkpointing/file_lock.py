"""File locks, which the system releases when the process that holds them ends, however it ends."""

import os
from pathlib import Path

from filelock import FileLock, Timeout


def take(path: Path) -> FileLock | None:
    """Locks a file for this process; returns None when another lock on it is held.

    The lock lasts until its `release`. The process writes its id into the file, see `holder`. The
    file stays after the release; only the process that holds the lock may remove it.

    Args:
        path: the file, which is made. Its folder has to exist.

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
    # Padded to one length, so that nothing is left of an earlier process's id. Written in place,
    # which works on a full disk too.
    with path.open("r+") as file:
        file.write(f"{os.getpid():<20}")
    return lock


def holder(path: Path) -> str:
    """Returns the id of the process that holds a lock, or that held it last."""
    return path.read_text().strip()
