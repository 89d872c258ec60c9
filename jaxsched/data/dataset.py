"""Loaded data sets, and the base class of their sources."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsched.data.fingerprint import digest


@dataclass(frozen=True, eq=False)
class Images:
    """One split of a data set, held in host memory.

    Attributes:
        images: uint8[N, H, W, C].
        labels: int32[N], each in 0 ... num_classes − 1.

    Raises:
        ValueError: when a dtype or a shape differs from these, or there is no image.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import Images
        >>> len(Images(np.zeros((5, 8, 8, 1), np.uint8), np.zeros(5, np.int32)))
        5
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ValueError(
                "Images needs images as uint8[N, H, W, C], got "
                f"{self.images.dtype}{list(self.images.shape)}; convert them first."
            )
        if self.labels.dtype != np.int32 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"Images needs labels as int32[{len(self.images)}], one an image, got "
                f"{self.labels.dtype}{list(self.labels.shape)}; convert them first."
            )
        if not self.images.size:
            raise ValueError(
                f"Images needs at least one image, got shape {list(self.images.shape)}; "
                "choose a split that is not empty."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.images.shape[1:]

    def fingerprint(self) -> dict[str, Any]:
        """Returns what identifies the examples: their number, shape, and a digest of the arrays."""
        found = digest((self.images, self.labels))
        return {"examples": len(self), "shape": list(self.image_shape), "digest": found}


class StreamedImages:
    """One split of a data set whose images are read and decoded one by one, as they are needed.

    For data that is too large for the devices' memory. A subclass must be safe to read from several
    threads, and is pickled to be read in other processes.
    """

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels, the same for all images."""
        raise NotImplementedError

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """Reads one example.

        Args:
            example: its index, in 0 … len − 1.
            random: the generator for random crops and the like, seeded by the run's seed, the epoch
                and the example alone. None in evaluation, which is never random.

        Returns:
            The image, uint8[H, W, C], and its label.

        Raises:
            ValueError: when it cannot be read; names the file or the example.
        """
        raise NotImplementedError

    def fingerprint(self) -> dict[str, Any]:
        """Returns what identifies the examples as far as it is cheap to tell, as JSON.

        A subclass adds what changes with its content, such as a digest of its files' names and
        sizes. The examples themselves need not be read.
        """
        return {"examples": len(self), "shape": list(self.image_shape)}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded data set: examples to train on and to evaluate on, and how to normalise both.

    Attributes:
        name: the name for tables, such as "CIFAR-10".
        train: the examples to train on.
        test: the examples to evaluate on. If the source holds out a validation share of its
            training examples, `test` is that share.
        evaluated_on: "test" or "validation": which of the two `test` is.
        class_names: a name for each label.
        mean: the mean of images / 255 for each channel.
        std: the standard deviation of images / 255 for each channel.

    Raises:
        ValueError: when the parts do not fit together.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> dataset = Synthetic(num_train=20, num_test=10, num_classes=4).load()
        >>> len(dataset.train), len(dataset.test), dataset.num_classes, dataset.evaluated_on
        (20, 10, 4, 'test')
    """

    name: str
    train: Images | StreamedImages
    test: Images | StreamedImages
    evaluated_on: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self):
        shape, test_shape = self.train.image_shape, self.test.image_shape
        if shape != test_shape:
            raise ValueError(
                f"{self.name} needs images of one shape, got {list(shape)} in train and "
                f"{list(test_shape)} in {self.evaluated_on}; resize them in the source, as Tfds "
                "does with image_size."
            )
        if not len(self.mean) == len(self.std) == shape[-1] or min(self.std) <= 0:
            raise ValueError(
                f"{self.name} needs a mean and a positive std for each of its {shape[-1]} "
                f"channels, got mean={self.mean}, std={self.std}; a std of 0 is a constant channel."
            )
        for split, examples in ("train", self.train), (self.evaluated_on, self.test):
            if not isinstance(examples, Images):
                continue  # its labels are known only as they are read
            labels = examples.labels
            if labels.min() < 0 or labels.max() >= self.num_classes:
                raise ValueError(
                    f"{self.name} needs labels in 0 ... {self.num_classes - 1}, got "
                    f"{labels.min()} ... {labels.max()} in {split}; name every class or correct "
                    "the labels."
                )

    @property
    def num_classes(self) -> int:
        """The number of classes, with or without examples."""
        return len(self.class_names)

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """The identity of the data, as JSON: a run goes on, and is compared, with the same only.

        It does not depend on the folder that the data lie in.
        """
        return {
            "classes": self.num_classes,
            "train": self.train.fingerprint(),
            "test": self.test.fingerprint(),
        }


class Source:
    """A description of a data set: a frozen dataclass of plain fields.

    It costs nothing until `load`, prints as the code that made it, compares, hashes, and can be
    written as JSON and set field by field from a command line.

    Example:
        >>> from jaxsched.data import Digits
        >>> Digits(validation=0.1)
        Digits(validation=0.1)
    """

    def load(self) -> Dataset:
        """Loads the data set; an error names the file that is missing or damaged."""
        raise NotImplementedError


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation of images / 255 for each channel, exact to float64.

    Args:
        images: uint8[N, H, W, C].

    Returns:
        Two tuples of C numbers.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import channel_statistics
        >>> channel_statistics(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
        ((0.5,), (0.5,))
    """
    values = np.arange(256) / 255
    mean, std = [], []
    for channel in range(images.shape[-1]):
        # Histograms add up exactly. A thousand images at a time, because bincount copies its
        # argument to int64, eight times as large.
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), 1000):
            some = images[start : start + 1000, ..., channel]
            counts += np.bincount(some.reshape(-1), minlength=256)
        shares = counts / counts.sum()
        centre = shares @ values
        mean.append(float(centre))
        std.append(float(np.sqrt(shares @ (values - centre) ** 2)))
    return tuple(mean), tuple(std)
