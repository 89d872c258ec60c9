"""Ends a command with an error in words."""

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn


def exit_with(error: Exception, status: int) -> NoReturn:
    """Ends the process with an error's message and an exit status."""
    print(f"error: {in_words(error)}", file=sys.stderr)
    sys.exit(status)


def in_words(error: BaseException) -> str:
    """Returns an error's message; one of the operating system as a sentence with path and fix.

    Example:
        >>> import errno
        >>> from jaxsched.cli.errors import in_words
        >>> in_words(OSError(errno.ENOSPC, "No space left on device", "runs/a.jsonl"))
        'cannot use runs/a.jsonl: No space left on device; make room, or name another folder.'
    """
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    fixes = {
        errno.EACCES: "name a path that you may use",
        errno.EPERM: "name a path that you may use",
        errno.EROFS: "name a path on a disk that can be written to",
        errno.ENAMETOOLONG: "give the experiment or the path a shorter name",
        errno.ENOSPC: "make room, or name another folder",
        errno.EDQUOT: "make room, or name another folder",
        errno.ENOENT: "name a path that exists, or whose folder can be made",
        errno.ENOTDIR: "name a folder, or move the file away",
        errno.EEXIST: "name another path, or move this one away",
        errno.EISDIR: "name a file",
    }
    fix = fixes.get(error.errno, "see that the path can be used, or name another one")
    if error.filename is None:
        return f"{error.strerror}; {fix}."
    path = Path(os.fsdecode(error.filename))
    reason = error.strerror
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        blocking = next((p for p in (path, *path.parents) if os.path.isfile(p)), path)
        reason = f"{blocking} is a file, where a folder is needed"
    return f"cannot use {path}: {reason}; {fix}."
