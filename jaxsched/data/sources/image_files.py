"""Finds the image files of a folder, and counts the other files."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# Formats that Pillow registers, but reads only by another program (Ghostscript) or not at all; with
# them those of its StubImageFile.
_NOT_DECODED = {"EPS", "MPEG"}


def image_suffixes() -> frozenset[str]:
    """Returns the suffixes of the files that this Pillow decodes, with their dot, in lower case.

    Plug-ins that are registered, such as one for HEIF, count too.
    """
    from PIL import Image, ImageFile

    Image.init()

    def is_decoded(kind: str) -> bool:
        if kind not in Image.OPEN or kind in _NOT_DECODED:
            return False
        factory = Image.OPEN[kind][0]
        return not (isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile))

    return frozenset(
        suffix for suffix, kind in Image.registered_extensions().items() if is_decoded(kind)
    )


def visible_entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """Returns the entries of a folder that are not hidden, sorted by name."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


def split_files(folder: Path, suffixes: frozenset[str]) -> tuple[list[str], list[str]]:
    """Returns the images and the other files of a folder and all folders below, hidden ones aside.

    Args:
        folder: the folder; symbolic links are followed.
        suffixes: those of images.

    Returns:
        Two sorted lists of paths within `folder`.

    Raises:
        ValueError: when a link leads back to a folder that holds it.
    """
    images, others = [], []

    def visit(inner: str) -> None:
        for entry in visible_entries(os.path.join(folder, inner)):
            path = os.path.join(inner, entry.name)
            if entry.is_dir():
                if entry.is_symlink():
                    _refuse_circle(entry.path)
                visit(path)
            elif os.path.splitext(entry.name)[1].lower() in suffixes:
                images.append(path)
            else:
                others.append(path)

    visit("")
    return sorted(images), sorted(others)


def _refuse_circle(link: str) -> None:
    target, holder = os.path.realpath(link), os.path.realpath(os.path.dirname(link))
    if os.path.commonpath([target, holder]) == target:
        raise ValueError(
            f"{link} is a link to {target}, which holds it, so that the folder has no end; remove "
            "the link."
        )


def describe_files(paths: Iterable[str]) -> str:
    """Returns how many files there are of each suffix, with an example of each.

    Example:
        >>> from jaxsched.data.sources.image_files import describe_files
        >>> describe_files(["cat/notes.txt", "README", "dog/more.txt"])
        '2 .txt (such as cat/notes.txt), 1 without suffix (such as README)'
    """
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for path in paths:
        suffix = os.path.splitext(path)[1].lower() or "without suffix"
        counts[suffix] += 1
        examples.setdefault(suffix, path)
    return ", ".join(
        f"{count:,} {suffix} (such as {examples[suffix]})" for suffix, count in counts.most_common()
    )
