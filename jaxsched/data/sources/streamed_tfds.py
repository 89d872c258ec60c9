"""A data set of TensorFlow Datasets that is too large for host memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsched.data.dataset import Source
from jaxsched.data.fields import check_kind, check_whole
from jaxsched.data.images import ImageDataset, StreamedImages, channel_statistics
from jaxsched.data.sources.tfds_files import PreparedSplit, check_prepared, open_prepared
from jaxsched.data.transforms.augment import Augment
from jaxsched.data.transforms.crop import RandomResizedCrop, choose_box, resize_box, to_pillow

_STATISTICS_EXAMPLES = 1000


@dataclass(frozen=True)
class StreamedTfds(Source):
    """A data set that TensorFlow Datasets has prepared on this disk, decoded as it is needed.

    Use it in place of `Tfds` for a set that is too large for host memory, and prepare it in the
    same way. Its mean and std are those of a thousand training images, spread evenly over the
    split.

    Examples are read in any order from each format, so that a run shuffles and resumes as with
    other sources. Files that gzip has compressed are decompressed into TMPDIR first.

    Attributes:
        name: TFDS's name, optionally with its configuration and version: "imagenet2012",
            "tfds:imagenet2012:5.1.0".
        data_dir: the folder it was prepared in; None for TFDS_DATA_DIR or ~/tensorflow_datasets.
        train_split: TFDS's name of the split, or a slice of one. "train[:90%]" here and
            "train[90%:]" as `test_split` hold out a tenth.
        test_split: the split to evaluate on.
        image_size: the side of the square input of a network, in pixels.
        crop: the part of an image that is used. None resizes the shorter side to `image_size` and
            crops to the centre, in training and in evaluation.

    Raises:
        ValueError: when `name` is empty, `image_size` below 1 or a field of another type.

    Example:
        >>> from jaxsched.data import StreamedTfds
        >>> StreamedTfds("tfds:imagenet2012", test_split="validation").image_size
        224
    """

    name: str
    data_dir: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_size: int = 224
    crop: RandomResizedCrop | None = RandomResizedCrop()

    def __post_init__(self):
        check_prepared("StreamedTfds", self)
        check_whole("StreamedTfds", "image_size", self.image_size)
        check_kind("StreamedTfds", "crop", self.crop, RandomResizedCrop, optional=True)

    @property
    def augment(self) -> Augment:
        """The flip, because the crop is made while an image is decoded."""
        return Augment(pad=0)

    def load(self) -> ImageDataset:
        """Opens both splits; an error names the folder."""
        builder = open_prepared(self.name, self.data_dir)
        splits = [PreparedSplit(builder, split) for split in (self.train_split, self.test_split)]
        train, test = (_Prepared(split, self.image_size, self.crop) for split in splits)
        mean, std = channel_statistics(_spread(train, _STATISTICS_EXAMPLES))
        return ImageDataset(self.name, train, test, "test", splits[0].class_names, mean, std)


class _Prepared(StreamedImages):
    """A prepared split, each image resized to a square."""

    def __init__(self, split: PreparedSplit, size: int, crop: RandomResizedCrop | None):
        self._split, self._size, self._crop = split, size, crop
        self._channels = split.decode(0)[0].shape[-1]

    def __len__(self) -> int:
        return len(self._split)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._size, self._size, self._channels

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """See `StreamedImages.read`."""
        image, label = self._split.decode(example)
        height, width = image.shape[:2]
        box = choose_box(width, height, self._size, self._crop, random)
        return resize_box(to_pillow(image), box, self._size), np.int32(label)

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedImages.fingerprint`; a digest of the set's version, split and files."""
        return {**super().fingerprint(), "digest": self._split.digest()}


def _spread(dataset: StreamedImages, count: int) -> np.ndarray:
    """At most `count` of the images, evenly spread, cropped as in evaluation."""
    examples = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    return np.stack([dataset.read(int(example), None)[0] for example in examples])
