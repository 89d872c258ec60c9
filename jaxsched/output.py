"""Output files: each is replaced as a whole, and an error names the file and the remedy.

replacing             writes a file beside and renames it
write_text            the same for a text
make_folder           makes a folder
require_file_name     refuses a name that leaves its folder or is too long
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 255  # bytes of a name, in all usual file systems
_REMEDIES = {
    errno.ENOENT: "make its folder first",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EACCES: "allow this user to write there, or use another folder",
    errno.EPERM: "allow this user to write there, or use another folder",
    errno.EROFS: "use a folder on a disk that is not read-only",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOTDIR: "use a folder in the place of the file on this path",
    errno.EISDIR: "move the folder of this name away",
}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Context manager: yields a path beside `path` to write to, which is renamed to it at the end.

    After an error, and whenever the process is killed, the file that was there before is left as it
    was. The path beside has the same suffix, by which some writers choose their format.

    Args:
        path: the file to write. Its folder has to exist.

    Raises:
        OSError: when the file cannot be written; the message names it and what to do.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxsched.output import replacing
        >>> path = Path(tempfile.mkdtemp()) / "table.csv"
        >>> with replacing(path) as beside:
        ...     size = beside.write_text("a,b\\n")
        >>> path.read_text()
        'a,b\\n'
    """
    refuse_link(path)
    # A short name of its own: `path` may have the longest name that there can be, and two processes
    # may write the same file at the same time.
    beside = path.with_name(f".{secrets.token_hex(4)}.part{path.suffix[:32]}")
    try:
        yield beside
        # Without it, a crash of the machine could leave a renamed file without its content.
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {explain(error)}.{_kept(path)}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, see `replacing`."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, unless they exist.

    Raises:
        OSError: when it cannot be made, or is a file; the message names the folder and what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        file = next((part for part in (folder, *folder.parents) if os.path.isfile(part)), None)
        if file is not None:
            reason = f"{file} is a file; move it away, or use another folder"
        elif isinstance(error, FileNotFoundError | FileExistsError):
            reason = f"{error.strerror}; use a folder on a disk"
        else:
            reason = explain(error)
        raise OSError(f"cannot make the folder {folder}: {reason}.") from error


def require_file_name(what: str, name: str) -> str:
    """Returns a name if it can be that of one file or folder within another one.

    Args:
        what: whose name it is, for the message.
        name: the name.

    Raises:
        ValueError: when it is empty, leads to another folder, or is too long.

    Example:
        >>> from jaxsched.output import require_file_name
        >>> require_file_name("a study", "quickstart")
        'quickstart'
    """
    is_plain = all(letter.isalnum() or letter in "-_. " for letter in name)
    if not is_plain or not name.strip(". "):
        raise ValueError(
            f"{what} needs a name of letters, digits, spaces, '-', '_' and '.', because files are "
            f"named after it, got {name!r}."
        )
    size = len(os.fsencode(name))
    if size > _LONGEST:
        raise ValueError(
            f"{what} would have the file name {name[:40]}… of {size} bytes, and a file system "
            f"takes {_LONGEST}; shorten the name by {size - _LONGEST} bytes."
        )
    return name


def refuse_link(path: Path) -> None:
    """Raises an OSError when a path to write to is a symbolic link, whose target would be lost."""
    if os.path.islink(path):  # which, unlike pathlib's, is no error for a name that is too long
        raise OSError(
            f"{path} is a symbolic link to {os.readlink(path)}, and no file is written through a "
            "link; remove the link, or use another folder."
        )


def explain(error: OSError) -> str:
    """Returns what went wrong and what to do, without a full stop."""
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{error.strerror or error}{f'; {remedy}' if remedy else ''}"


def _kept(path: Path) -> str:
    return " The file that was there before is kept." if os.path.exists(path) else ""
