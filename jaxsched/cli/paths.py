"""The commands' path arguments: `~` is expanded, and outputs are checked before the work."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import tyro

from jaxsched.cli.home import has_stand_in


def user_path(text: str) -> Path:
    """Returns a path with `~` expanded, which a shell leaves alone in `--workdir=~/runs`.

    Raises:
        ValueError: when the home folder is not known.
    """
    path = Path(text)
    try:
        if has_stand_in() and path.parts[:1] == ("~",):
            raise RuntimeError("the home folder is a stand-in")
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"expected a path, got {text}, whose home folder is not known; write the whole path."
        ) from error


UserPath: TypeAlias = Annotated[
    Path,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda texts: user_path(texts[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    ),
]


def require_folder(path: Path) -> None:
    """Refuses a folder to write to that neither exists nor can be made, before it is worked for.

    Raises:
        ValueError: when a file is in its place, or it may not be written to.
    """
    nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not nearest.is_dir():
        raise ValueError(
            f"cannot write to the folder {path}: {nearest} is a file; name another folder, or move "
            "the file away."
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(
            f"cannot write to the folder {path}: {nearest} may not be written to; name another "
            "folder."
        )


def require_new_file(path: Path, suffixes: Sequence[str]) -> None:
    """Refuses a path that a file cannot be written to, before it is worked for.

    Args:
        path: the file to write.
        suffixes: the endings that its name may have, the usual one first.

    Raises:
        ValueError: when its ending is another one, or its folder is missing or closed.
    """
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"expected an output file ending in {', '.join(suffixes)}, got {path}; name it "
            f"{path.with_name(path.name + suffixes[0]) if path.name else suffixes[0]}."
        )
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(
            f"cannot write {path}: there is no folder {folder}; make it, or name another --output."
        )
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        reason = "it is a folder" if path.is_dir() else "it may not be written to"
        raise ValueError(f"cannot write {path}: {reason}; name another --output.")
