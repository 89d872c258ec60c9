"""Image files in one folder per class, the layout of ImageNet."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data.dataset import Dataset, Source, StreamedImages
from jaxsched.data.fingerprint import files_digest
from jaxsched.data.transforms.crop import RandomResizedCrop
from jaxsched.data.transforms.decode import read_square
from jaxsched.extras import require_extra

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ImageFolder(Source):
    """Image files that are read as they are needed, in ImageNet's layout.

    The files are FOLDER/train/CLASS/FILE and FOLDER/val/CLASS/FILE. Labels number the classes in
    the order of their names; examples are ordered by class and then by file name. Hidden files, and
    files without the suffix of an image, are skipped.

    Flip on the device, by `Augment(pad=0)`; the crop is made here because it needs the whole image.

    Attributes:
        folder: the folder of the two splits; `~` is the home folder.
        train: the sub-folder to train on.
        test: the sub-folder to evaluate on.
        image_size: the side of the square input of a network, in pixels.
        crop: the part of an image that is used. None resizes the shorter side to `image_size` and
            crops to the centre, in training and in evaluation.
        mean: the mean of images / 255 for each channel; ImageNet's by default.
        std: the standard deviation of images / 255 for each channel; ImageNet's by default.

    Raises:
        ValueError: when `image_size` is below 1.

    Example:
        >>> from jaxsched.data import ImageFolder
        >>> ImageFolder("~/imagenet", image_size=64).crop.area
        (0.08, 1.0)
    """

    folder: str
    train: str = "train"
    test: str = "val"
    image_size: int = 224
    crop: RandomResizedCrop | None = RandomResizedCrop()
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self):
        if self.image_size < 1:
            raise ValueError(f"ImageFolder needs image_size of at least 1, got {self.image_size}.")

    def load(self) -> Dataset:
        """Lists the files; an error names the folder in which something is missing."""
        require_extra("ImageFolder", "images", "PIL")
        folder = Path(self.folder).expanduser()
        classes = _classes(folder / self.train)
        _check_same(classes, folder / self.train, folder / self.test)
        train, test = (
            _Files(folder / split, classes, self.image_size, self.crop)
            for split in (self.train, self.test)
        )
        return Dataset(folder.name, train, test, "test", classes, self.mean, self.std)


class _Files(StreamedImages):
    """The image files of one split."""

    def __init__(
        self, folder: Path, classes: tuple[str, ...], size: int, crop: RandomResizedCrop | None
    ):
        names = [_images(folder / name) for name in classes]
        self._folder, self._classes, self._size, self._crop = folder, classes, size, crop
        # Arrays of bytes, because pickling a million strings for other processes takes long.
        self._names = np.array([os.fsencode(name) for some in names for name in some])
        self._labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(n) for n in names])

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._size, self._size, 3

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """See `StreamedImages.read`."""
        label = self._labels[example]
        path = self._folder / self._classes[label] / os.fsdecode(self._names[example])
        return read_square(path, self._size, self._crop, random), label

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedImages.fingerprint`; a digest of the files' classes, names and sizes."""
        names = (
            os.path.join(self._classes[label], os.fsdecode(name))
            for label, name in zip(self._labels, self._names, strict=True)
        )
        found = files_digest(((name, self._folder / name) for name in names), len(self))
        return {**super().fingerprint(), "digest": found}


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder that are not hidden, sorted by name."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


def _classes(folder: Path) -> tuple[str, ...]:
    """The names of the class folders in a split's folder."""
    try:
        entries = _entries(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"ImageFolder needs a folder {folder} that holds a folder of images for each class; "
            f"there is none. {_contents(folder.parent)} Give the folder of the splits as folder, "
            "and the names of its sub-folders as train and test."
        ) from error
    classes = tuple(entry.name for entry in entries if entry.is_dir())
    if not classes:
        raise ValueError(
            f"ImageFolder needs in {folder} a folder of images for each class, found "
            f"{len(entries)} files and no folder; move each file to a folder named as its class."
        )
    return classes


def _contents(folder: Path) -> str:
    """A sentence on the contents of a folder, for messages."""
    if not folder.is_dir():
        return f"{folder} does not exist either."
    names = ", ".join(entry.name for entry in _entries(folder)[:10])
    return f"{folder} holds {names or 'nothing'}."


def _check_same(classes: tuple[str, ...], train: Path, test: Path) -> None:
    """Raises `ValueError` unless both splits have the same classes."""
    others = _classes(test)
    for lacking, having, names in (
        (test, train, set(classes).difference(others)),
        (train, test, set(others).difference(classes)),
    ):
        if names:
            raise ValueError(
                f"ImageFolder needs the same classes in both splits, but {lacking} lacks "
                f"{len(names)} of {having}: {', '.join(sorted(names)[:5])}; add or remove them."
            )


def _images(folder: Path) -> list[str]:
    """The names of the image files of a class."""
    entries = _entries(folder)
    images = [entry.name for entry in entries if entry.name.lower().endswith(_SUFFIXES)]
    if not images:
        raise ValueError(
            f"ImageFolder needs images in {folder}, found {len(entries)} other entries; expected "
            f"names that end in {', '.join(_SUFFIXES)}."
        )
    return images
