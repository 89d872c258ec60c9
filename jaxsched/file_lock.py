"""File locks, which the system releases when the process that holds them ends, however it ends."""

import contextlib
import errno
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

from jaxsched.extras import require_extra
from jaxsched.output import explain, make_folder

require_extra("A lock on a file", "train", "filelock")

from filelock import FileLock, Timeout  # noqa: E402

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def take(path: Path) -> FileLock | None:
    """Locks a file for this process; returns None when another lock on it is held.

    The lock lasts until `remove`. Nothing but the lock may write into the file: where the system
    has no locks, its content is the lock. The process writes its id into a file beside, see
    `holder`.

    Args:
        path: the file, which is made with its folder.

    Raises:
        OSError: when the file cannot be made or the file system has no locks; the message names
            the folder and what to do.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "lock"
        >>> lock = take(path)
        >>> take(path) is None, holder(path) == f"process {os.getpid()}"
        (True, True)
        >>> remove(path, lock)
        >>> take(path) is None
        False
    """
    lock = _acquired(path, blocking=False)
    if lock is not None:
        _name_holder(path)
    return lock


@contextlib.contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Context manager: locks a file, once no other process holds it. For work that is short."""
    lock = _acquired(path, blocking=True)
    assert lock is not None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def claimed(path: Path, what: str) -> Iterator[FileLock]:
    """Context manager: locks a file that no other process may hold, and removes it at the end.

    Args:
        path: the file, which is made with its folder.
        what: what its holder does, such as "writes a.jsonl", for the message.

    Raises:
        BlockingIOError: when another process, or another part of this one, holds the lock.
        OSError: see `take`.
    """
    lock = take(path)
    if lock is None:
        raise BlockingIOError(f"{holder(path)} {what}; wait for it, stop it or use another folder.")
    try:
        yield lock
    finally:
        remove(path, lock)


def remove(path: Path, lock: FileLock) -> None:
    """Removes a file that this process has locked, and releases the lock."""
    with contextlib.suppress(OSError):
        _holder_path(path).unlink(missing_ok=True)
    # Before the release, after which the file may be another process's.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    lock.release()


def holder(path: Path) -> str:
    """Names the process that holds a lock, or that held it last, with its host if it is another."""
    try:
        process, host = _holder_path(path).read_text().split()
    except (OSError, ValueError):  # not there, or not yet written
        return "another process"
    return f"process {process}" if host == socket.gethostname() else f"process {process} on {host}"


def _name_holder(path: Path) -> None:
    # It only serves a message, for which nothing has to fail.
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(_holder_path(path), flags, 0o666), "w") as file:
            file.write(f"{os.getpid()} {socket.gethostname()}")


def _holder_path(path: Path) -> Path:
    return path.with_suffix(".holder")


def _acquired(path: Path, *, blocking: bool) -> FileLock | None:
    make_folder(path.parent)
    lock = FileLock(path, thread_local=False)
    try:
        with warnings.catch_warnings():
            # Where the kernel has no locks, the file's existence is the lock, which is said here.
            # Its content names the process, so that the lock of one that was killed is broken.
            warnings.filterwarnings("ignore", "flock not supported", UserWarning)
            lock.acquire(blocking=blocking)
    except Timeout:
        return None
    except OSError as error:
        why = explain(error)
        if error.errno in _WITHOUT_LOCKS:
            why = (
                f"{error.strerror}: its file system has no locks, without which two processes "
                "could write the same files; use a folder on another disk, or have it mounted "
                "with locks (NFS: lockd; Lustre: -o flock)"
            )
        raise OSError(f"cannot lock {path.name} in the folder {path.parent}: {why}.") from error
    return lock
