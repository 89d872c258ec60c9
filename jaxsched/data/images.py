"""Data sets of images with one label each."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxsched.data.dataset import Dataset, Examples, StreamedExamples
from jaxsched.data.fingerprint import digest


@dataclass(frozen=True, eq=False)
class Images(Examples):
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

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The images and the labels."""
        return self.images, self.labels

    def fingerprint(self) -> dict[str, Any]:
        """Returns what identifies the examples: their number, shape, and a digest of the arrays."""
        shape = list(self.images.shape[1:])
        return {"examples": len(self), "shape": shape, "digest": digest(self.arrays)}


class StreamedImages(StreamedExamples):
    """One split of a data set whose images are read and decoded one by one, as they are needed."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels, the same for all images."""
        raise NotImplementedError

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape and dtype of an image and of its label."""
        return (
            jax.ShapeDtypeStruct(self.image_shape, np.uint8),
            jax.ShapeDtypeStruct((), np.int32),
        )

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """Reads one example; see `StreamedExamples.read`.

        Returns:
            The image, uint8[H, W, C], and its label.
        """
        raise NotImplementedError

    def fingerprint(self) -> dict[str, Any]:
        """Returns the number and shape of the images; see `StreamedExamples.fingerprint`."""
        return {"examples": len(self), "shape": list(self.image_shape)}


@dataclass(frozen=True, eq=False)
class ImageDataset(Dataset):
    """A loaded data set of images with one label each, and how to normalise them.

    Attributes:
        name: see `Dataset`, as for `train`, `test` and `evaluated_on`.
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

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self):
        shape, test_shape = self.image_shape, self.test.elements[0].shape
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

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, channels = self.train.elements[0].shape
        return height, width, channels

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """See `Dataset.fingerprint`; with the number of classes."""
        return {"classes": self.num_classes, **super().fingerprint}


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
