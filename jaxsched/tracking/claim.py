"""Claims: only the process that holds the claim on a record, or on a folder of runs, writes there.

`train`, `bench`, `diagnose` and the commands of short runs all take them, so that no two of them
write to one file.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from jaxsched.file_lock import claimed, remove, take


def record_lock_path(record: Path) -> Path:
    """Returns the file beside a record whose lock is the claim on it."""
    return record.with_name(f".{record.stem}.lock")


def claim_record(record: Path) -> AbstractContextManager[object]:
    """Context manager: holds the claim on a record.

    Raises:
        BlockingIOError: when another process holds it; the message names the process.
        OSError: when the folder cannot be made or locked.

    Example:
        >>> import tempfile
        >>> from jaxsched.tracking.claim import claim_record
        >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> with claim_record(path):
        ...     try:
        ...         claim_record(path).__enter__()
        ...     except BlockingIOError as error:
        ...         print("writes" in str(error))
        True
    """
    return claimed(record_lock_path(record), f"writes {record}")


def is_claimed(record: Path) -> bool:
    """Returns whether a process writes a record now; False where that cannot be found out."""
    path = record_lock_path(record)
    if not path.exists():
        return False
    try:
        lock = take(path)
    except OSError:  # such as a folder that may only be read
        return False
    if lock is not None:  # a process that was killed has left the file
        remove(path, lock)
    return lock is None


def claim_runs(folder: Path) -> AbstractContextManager[object]:
    """Context manager: holds the claim on the short runs of a folder, which one command makes.

    Raises:
        BlockingIOError: when another process holds it; the message names the process.
        OSError: when the folder cannot be made or locked.
    """
    return claimed(folder / ".runs.lock", f"makes runs in {folder}")
