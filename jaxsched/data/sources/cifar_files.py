"""Readers of the official CIFAR files, in the binary and the Python layout."""

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from jaxsched.data.fields import find_folder
from jaxsched.data.images import Images
from jaxsched.data.sources.safe_pickle import load_plain

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


@dataclass(frozen=True)
class Archive:
    """The contents of the official archives of one data set.

    Attributes:
        name: the name of the data set.
        train: the names of the training files without suffix, in order.
        images_per_train_file: the number of images in each training file.
        test: the names of the test files without suffix.
        images_per_test_file: the number of images in each test file.
        label_bytes: the bytes before each image in the binary layout; the last is the label.
        label_key: the key of the labels in the Python layout.
        class_names: the names of the classes, in the order of the labels.
        mean: the customary mean of images / 255 for each channel.
        std: the customary standard deviation of images / 255 for each channel.
        binary_folder: the folder that the binary archive unpacks to.
        python_folder: the folder that the Python archive unpacks to.
        binary_md5: the MD5 sums of the binary files, by their name without suffix.
        python_md5: the MD5 sums of the Python files.
    """

    name: str
    train: tuple[str, ...]
    images_per_train_file: int
    test: tuple[str, ...]
    images_per_test_file: int
    label_bytes: int
    label_key: str
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    binary_folder: str
    python_folder: str
    binary_md5: Mapping[str, str]
    python_md5: Mapping[str, str]


# From (path, its content, archive, n) to n images, uint8[n, 3072], and all labels of each,
# int[n, label_bytes].
_Reader: TypeAlias = Callable[[Path, bytes, Archive, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class _Layout:
    """The files in one format, binary or Python, in one folder."""

    folder: Path
    suffix: str
    read: _Reader

    def files(self, stems: tuple[str, ...]) -> list[Path]:
        """The paths of files in this layout, from their names without suffix."""
        return [self.folder / (stem + self.suffix) for stem in stems]

    def missing(self, archive: Archive) -> list[Path]:
        """The archive's files that are not there."""
        return [path for path in self.files(archive.train + archive.test) if not path.is_file()]

    def present(self, archive: Archive) -> bool:
        """Whether any of the archive's files is there."""
        return len(self.missing(archive)) < len(archive.train + archive.test)

    def describe(self, archive: Archive) -> str:
        """The files of this layout, for messages."""
        files = self.files(archive.train + archive.test)
        return f"{files[0].name} ... {files[-1].name} in {self.folder}"


def read_official(archive: Archive, folder: str) -> tuple[Images, Images]:
    """Reads the training and the test images of the first complete layout in a folder.

    The order of the layouts is: binary files in the folder itself, Python files in the folder
    itself, binary files in the sub-folder that the archive unpacks to, Python files in theirs.

    Args:
        archive: the archive to read.
        folder: the folder to look into; `~` is the home folder.

    Warns when the images or labels of a file are not those of the official one.

    Returns:
        (train, test), uint8[N, 32, 32, 3] with int32 labels.

    Raises:
        FileNotFoundError: when no layout is complete; lists the expected and the existing files.
        PermissionError: when the folder or a file may not be read.
        ValueError: when a file is cut short, damaged, or holds a label out of range.
    """
    layout, changed = _complete_layout(archive, find_folder(folder)), []
    train = _read_split(archive, layout, archive.train, archive.images_per_train_file, changed)
    test = _read_split(archive, layout, archive.test, archive.images_per_test_file, changed)
    if changed:
        warnings.warn(
            f"{archive.name} in {layout.folder} has other contents than the official files, by "
            f"their MD5 sums: {', '.join(changed)}. Results on it are not those of "
            f"{archive.name}: say so, or download the archive from "
            "https://www.cs.toronto.edu/~kriz/cifar.html.",
            stacklevel=3,
        )
    return train, test


def _complete_layout(archive: Archive, folder: Path) -> _Layout:
    """The first layout whose files are all there."""
    found = _listing(folder)
    for sub_folder in {archive.binary_folder, archive.python_folder} & set(found):
        # A sub-folder that may not be read would look as if it had no files.
        _listing(folder / sub_folder)
    layouts = [
        _Layout(folder, ".bin", _read_binary),
        _Layout(folder, "", _read_python),
        _Layout(folder / archive.binary_folder, ".bin", _read_binary),
        _Layout(folder / archive.python_folder, "", _read_python),
    ]
    for layout in layouts:
        if not layout.missing(archive):
            return layout
    started = [layout for layout in layouts if layout.present(archive)]
    if started:
        missing = ", ".join(path.name for path in started[0].missing(archive))
        raise FileNotFoundError(
            f"{archive.name} in {started[0].folder} is incomplete: {missing} missing; unpack the "
            "archive there again."
        )
    wanted = "; ".join(layout.describe(archive) for layout in layouts)
    raise FileNotFoundError(
        f"{archive.name} was not found in {folder}, which {_contents(found)}. Looked for {wanted}. "
        + _advice(archive, folder, found)
    )


def _listing(folder: Path) -> list[str]:
    """The names in a folder; an error says what is wrong with it."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The folder {folder} does not exist; give the one that holds the unpacked files."
        ) from error
    except NotADirectoryError as error:
        raise NotADirectoryError(
            f"{folder} is a file; give the folder that holds the unpacked files. An archive is "
            f"unpacked by: tar -xf {folder} -C {folder.parent}"
        ) from error
    except PermissionError as error:
        raise PermissionError(
            f"The folder {folder} may not be read by this user; allow it: chmod u+rx {folder}"
        ) from error


def _contents(found: list[str]) -> str:
    """A few words on the contents of a folder, for messages."""
    if not found:
        return "is empty"
    shown, more = found[:10], len(found) - 10
    return "holds " + ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _advice(archive: Archive, folder: Path, found: list[str]) -> str:
    """The fix to suggest for a folder without the files."""
    # Both CIFAR-10 archives are named "cifar-10-…", both CIFAR-100 archives "cifar-100-…".
    prefix = archive.python_folder.removesuffix("batches-py").removesuffix("python")
    for name in found:
        if name.startswith(prefix) and name.endswith((".tar.gz", ".tgz", ".tar")):
            return f"The archive is still packed; unpack it: tar -xf {folder / name} -C {folder}"
    return (
        "Give the folder that holds the unpacked files, or download and unpack an archive from "
        "https://www.cs.toronto.edu/~kriz/cifar.html first."
    )


def _read_split(
    archive: Archive, layout: _Layout, stems: tuple[str, ...], count: int, changed: list[str]
) -> Images:
    """Reads files of `count` images each, one after another.

    Appends to `changed` the names of those that are not the official ones.
    """
    images = np.empty((count * len(stems), _SIDE, _SIDE, 3), np.uint8)
    labels = np.empty(count * len(stems), np.int32)
    for number, path in enumerate(layout.files(stems)):
        here = slice(number * count, (number + 1) * count)
        content = _read_bytes(path)
        pixels, found = layout.read(path, content, archive, count)
        _check_labels(path, found[:, -1], len(archive.class_names))
        if not _is_official(archive, path.stem, content, pixels, found):
            changed.append(path.name)
        images[here] = pixels.reshape(count, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        labels[here] = found[:, -1]
    return Images(images, labels)


def _is_official(
    archive: Archive, stem: str, content: bytes, pixels: np.ndarray, labels: np.ndarray
) -> bool:
    """Whether a file is an official one, or holds the same images and labels in other pickles."""
    if _md5(content) in (archive.binary_md5[stem], archive.python_md5[stem]):
        return True
    records = np.concatenate([labels.astype(np.uint8), pixels], axis=1)
    return _md5(records.tobytes()) == archive.binary_md5[stem]


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _check_labels(path: Path, labels: np.ndarray, num_classes: int) -> None:
    """Raises `ValueError` if a label is not of any class; names the first."""
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise ValueError(
            f"{path}, example {wrong[0]} (the first is 0), has label {labels[wrong[0]]}; expected "
            f"0 ... {num_classes - 1}. {len(wrong)} of {len(labels)} examples have wrong labels: "
            "the file is damaged or of another data set; download and unpack it again."
        )


def _read_bytes(path: Path) -> bytes:
    """The contents of a file."""
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise PermissionError(
            f"{path} may not be read by this user; allow it: chmod u+r {path}"
        ) from error


def _read_binary(
    path: Path, content: bytes, archive: Archive, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a file in the binary layout.

    An example is its label bytes, then 1,024 red, 1,024 green and 1,024 blue bytes, row by row.
    """
    example_bytes = archive.label_bytes + _PIXELS
    if len(content) != count * example_bytes:
        raise ValueError(
            f"{path} has {len(content):,} bytes; expected {count * example_bytes:,} ({count:,} "
            f"examples of {example_bytes:,}). It is cut short, damaged or of another data set: "
            "download and unpack it again."
        )
    table = np.frombuffer(content, np.uint8).reshape(count, example_bytes)
    return table[:, archive.label_bytes :], table[:, : archive.label_bytes]


def _read_python(
    path: Path, content: bytes, archive: Archive, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a file in the Python layout.

    It is a pickled dict with `data`, uint8[count, 3072] in the order of the binary layout, and
    lists of labels.
    """
    batch = load_plain(path, content)
    again = "It is damaged or of another data set: download and unpack it again."
    if not isinstance(batch, dict):
        raise ValueError(f"{path} holds a {type(batch).__name__}; expected a dict. {again}")
    # If the file was written again by Python 3, its keys may be bytes.
    batch = {
        key.decode("latin1") if isinstance(key, bytes) else key: value
        for key, value in batch.items()
    }
    for key in ("data", archive.label_key):
        if key not in batch:
            keys = ", ".join(map(str, batch))
            raise ValueError(f"{path} has no {key!r}; it has {keys or 'nothing'}. {again}")
    pixels, labels = batch["data"], batch[archive.label_key]
    given = f"{getattr(pixels, 'dtype', type(pixels).__name__)}{list(np.shape(pixels))}"
    if given != (expected := f"uint8[{count}, {_PIXELS}]"):
        raise ValueError(f"{path} has data of {given}; expected {expected}. {again}")
    fine = _whole_numbers(labels, count)
    if fine is None:
        raise ValueError(
            f"{path} has {archive.label_key} other than a list of {count} integers. {again}"
        )
    if archive.label_bytes == 1:
        return pixels, fine[:, None]
    # Only the checksum asks for the coarse labels, which the binary layout has, too.
    coarse = _whole_numbers(batch.get("coarse_labels"), count)
    return pixels, np.stack([np.zeros_like(fine) if coarse is None else coarse, fine], axis=1)


def _whole_numbers(labels: Any, count: int) -> np.ndarray | None:
    """Returns `count` integers, Python's or NumPy's, as int64[count]; None for anything else."""
    if isinstance(labels, np.ndarray):
        labels = list(labels)
    if not isinstance(labels, list) or len(labels) != count:
        return None
    whole = all(isinstance(n, int | np.integer) and -(2**63) <= n < 2**63 for n in labels)
    return np.array(labels, np.int64) if whole else None
