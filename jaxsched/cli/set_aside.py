"""Moves earlier results out of the way: nothing that was computed is deleted."""

import datetime
import itertools
from collections.abc import Sequence
from pathlib import Path

from jaxsched.output import make_folder


def set_aside(paths: Sequence[Path]) -> Path | None:
    """Moves the files and folders of one folder that exist to one named after the time, in there.

    Their own names stay, so that they can be reported from there, or moved back.

    Args:
        paths: the files and folders, all in one folder.

    Returns:
        The folder that they are in now; None when none of them existed.

    Example:
        >>> import tempfile
        >>> from jaxsched.cli.set_aside import set_aside
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "a.jsonl").touch()
        >>> aside = set_aside([folder / "a.jsonl", folder / "a"])
        >>> aside.parent == folder / "set-aside", [path.name for path in aside.iterdir()]
        (True, ['a.jsonl'])
    """
    found = [path for path in paths if path.exists()]
    if not found:
        return None
    now = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = itertools.chain([now], (f"{now}-{count}" for count in itertools.count(2)))
    folders = (found[0].parent / "set-aside" / name for name in names)
    # Another run may have been set aside in the same second.
    folder = next(f for f in folders if not any((f / path.name).exists() for path in found))
    make_folder(folder)
    for path in found:
        path.rename(folder / path.name)
    return folder
