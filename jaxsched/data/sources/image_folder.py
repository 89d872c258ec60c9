"""Image files in one folder per class, the layout of ImageNet."""

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data.dataset import Source, UnreadExamples
from jaxsched.data.fields import (
    check_folder,
    check_kind,
    check_numbers,
    check_whole,
    check_yes_or_no,
    find_folder,
)
from jaxsched.data.fingerprint import files_digest
from jaxsched.data.images import ImageDataset, StreamedImages
from jaxsched.data.sources.image_files import (
    describe_files,
    image_suffixes,
    split_files,
    visible_entries,
)
from jaxsched.data.transforms.augment import Augment
from jaxsched.data.transforms.crop import RandomResizedCrop
from jaxsched.data.transforms.decode import read_square
from jaxsched.extras import require_extra


@dataclass(frozen=True)
class ImageFolder(Source):
    """Image files that are read as they are needed, in ImageNet's layout.

    The files are FOLDER/train/CLASS/FILE and FOLDER/val/CLASS/FILE, or lie in folders below CLASS.
    Labels number the classes in the order of their names; examples are ordered by class and then by
    the path within it. Every file whose suffix is that of an image that Pillow decodes is read, of
    an animation the first picture. Hidden files are skipped; other files are skipped with a warning
    that counts and names them.

    The flip is made on the device, by `Augment(pad=0)`, the default; the crop is made here because
    it needs the whole image.

    Attributes:
        folder: the folder of the two splits; `~` is the home folder.
        train: the sub-folder to train on.
        test: the sub-folder to evaluate on.
        image_size: the side of the square input of a network, in pixels.
        crop: the part of an image that is used. None resizes the shorter side to `image_size` and
            crops to the centre, in training and in evaluation.
        mean: the mean of images / 255 for each channel; ImageNet's by default.
        std: the standard deviation of images / 255 for each channel; ImageNet's by default.
        allow_empty: whether a class may have no image in a split, and no folder in `test`.
        num_train: the number of training images, where it is known, such as ImageNet's 1,281,167:
            then a plan needs no files, and `load` refuses an incomplete copy.
        num_classes: the number of classes, where it is known, such as ImageNet's 1,000: then
            compiling needs no files either.

    Raises:
        ValueError: when a field is of another type, `image_size`, `num_train` or `num_classes` is
            below 1 or a std not above 0.

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
    allow_empty: bool = field(default=False, metadata={"described": "unless default"})
    num_train: int | None = field(default=None, metadata={"described": "unless default"})
    num_classes: int | None = field(default=None, metadata={"described": "unless default"})

    def __post_init__(self):
        for name in ("folder", "train", "test"):
            object.__setattr__(self, name, check_folder("ImageFolder", name, getattr(self, name)))
        check_whole("ImageFolder", "image_size", self.image_size)
        check_kind("ImageFolder", "crop", self.crop, RandomResizedCrop, optional=True)
        check_numbers("ImageFolder", "mean", self.mean, 3)
        check_numbers("ImageFolder", "std", self.std, 3)
        if min(self.std) <= 0:
            raise ValueError(f"ImageFolder needs each std above 0, got std={self.std}.")
        check_yes_or_no("ImageFolder", "allow_empty", self.allow_empty)
        for name in ("num_train", "num_classes"):
            if getattr(self, name) is not None:
                check_whole("ImageFolder", name, getattr(self, name))

    @property
    def augment(self) -> Augment:
        """The flip, because the crop is made while an image is decoded."""
        return Augment(pad=0)

    @property
    def known_num_train(self) -> int | None:
        """See `Source.known_num_train`."""
        return self.num_train

    def described(self, num_train: int | None = None) -> ImageDataset | None:
        """See `Source.described`; needs `num_classes` and the number of training images."""
        count = self.num_train if num_train is None else num_train
        if count is None or self.num_classes is None:
            return None
        shape = (self.image_size, self.image_size, 3)
        examples = UnreadExamples(count, (("uint8", shape), ("int32", ())))
        classes = tuple(map(str, range(self.num_classes)))
        # The number of test images is not known; it only matters where it is less than a batch.
        return ImageDataset(
            Path(self.folder).name, examples, examples, "test", classes, self.mean, self.std
        )

    def load(self) -> ImageDataset:
        """Lists the files; an error names the folder in which something is missing."""
        require_extra("ImageFolder", "images", "PIL")
        folder = find_folder(self.folder)
        folders = [folder / find_folder(split) for split in (self.train, self.test)]
        classes = _classes(folders[0])
        _check_same(classes, *folders, allow_empty=self.allow_empty)
        if self.num_classes not in (None, len(classes)):
            raise ValueError(
                f"ImageFolder needs {self.num_classes:,} classes in {folders[0]}, by its "
                f"num_classes, found {len(classes):,}; complete the copy, or give their number or "
                "None as num_classes."
            )
        train, test = (
            _Files(path, classes, self.image_size, self.crop, self.allow_empty) for path in folders
        )
        if self.num_train not in (None, len(train)):
            raise ValueError(
                f"ImageFolder needs {self.num_train:,} images in {folders[0]}, by its num_train, "
                f"found {len(train):,}; complete the copy, or give their number or None as "
                "num_train."
            )
        name = Path(os.path.abspath(folder)).name  # also of "."
        return ImageDataset(name, train, test, "test", classes, self.mean, self.std)


class _Files(StreamedImages):
    """The image files of one split."""

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...],
        size: int,
        crop: RandomResizedCrop | None,
        allow_empty: bool,
    ):
        names = _names(folder, classes, allow_empty)
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


def _classes(folder: Path) -> tuple[str, ...]:
    """The names of the class folders in a split's folder."""
    try:
        entries = visible_entries(folder)
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
    names = ", ".join(entry.name for entry in visible_entries(folder)[:10])
    return f"{folder} holds {names or 'nothing'}."


def _check_same(classes: tuple[str, ...], train: Path, test: Path, *, allow_empty: bool) -> None:
    """Raises `ValueError` unless both splits have the same classes."""
    others = _classes(test)
    for lacking, having, names in (
        (test, train, () if allow_empty else set(classes).difference(others)),
        (train, test, set(others).difference(classes)),
    ):
        if names:
            raise ValueError(
                f"ImageFolder needs the same classes in both splits, but {lacking} lacks "
                f"{len(names)} of {having}: {', '.join(sorted(names)[:5])}; add or remove them, or "
                "allow_empty=True for classes without test images."
            )


def _names(folder: Path, classes: tuple[str, ...], allow_empty: bool) -> list[list[str]]:
    """The paths of each class's images within the class's folder.

    Warns of other files; raises `ValueError` when a class has no image that should have one.
    """
    suffixes, names = image_suffixes(), []
    skipped = [entry.name for entry in visible_entries(folder) if not entry.is_dir()]
    for name in classes:
        here = folder / name
        images, others = split_files(here, suffixes) if here.is_dir() else ([], [])
        if not images and not allow_empty:
            raise ValueError(
                f"ImageFolder needs images in {here}, found {len(others)} other files; expected "
                "names that end in .jpeg, .png or another suffix that Pillow knows. Add images, "
                "remove the folder from both splits, or give allow_empty=True."
            )
        names.append(images)
        skipped += [os.path.join(name, other) for other in others]
    count = sum(map(len, names))
    if not count:
        raise ValueError(f"ImageFolder needs at least one image in {folder}, found none.")
    if skipped:
        warnings.warn(
            f"ImageFolder skipped {len(skipped):,} of {count + len(skipped):,} files in {folder}, "
            f"which have no suffix of an image that Pillow decodes: {describe_files(skipped)}.",
            stacklevel=4,
        )
    return names
