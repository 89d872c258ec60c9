"""A set of TensorFlow Datasets that is too large for memory."""

from dataclasses import dataclass

import numpy as np

from jaxsched.data.dataset import Dataset, Records, Source, channel_statistics
from jaxsched.data.sources.tfds_files import PreparedSplit, open_prepared
from jaxsched.data.transforms.crop import RandomResizedCrop, choose_box, resize_box

_PREFIX = "tfds:"
_STATISTICS_EXAMPLES = 1000


@dataclass(frozen=True)
class StreamedTfds(Source):
    """A set that TensorFlow Datasets has prepared on this disk, decoded record by record as needed.

    Prepare it as for `Tfds`, of which this is the way for sets that are too large for memory. Its
    mean and std are those of a thousand training images, spread evenly over the split.

    Attributes:
        name: TFDS's name, with its configuration and version if you wish: "imagenet2012",
            "tfds:imagenet2012:5.1.0".
        data_dir: where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets where None.
        train_split: TFDS's name of the split, or a slice of one. "train[:90%]" here and
            "train[90%:]" as `test_split` hold out a tenth.
        test_split: the split that evaluations run on.
        image_size: of the squares that a network sees, in pixels.
        crop: what of an image is seen. None resizes the shorter side to `image_size` and crops to
            the centre, in training as in evaluation.

    Raises:
        ValueError: when `name` is empty or `image_size` below 1.

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
        object.__setattr__(self, "name", self.name.removeprefix(_PREFIX))
        if not self.name:
            raise ValueError("StreamedTfds needs the name of a data set, got none.")
        if self.image_size < 1:
            raise ValueError(f"StreamedTfds needs image_size of at least 1, got {self.image_size}.")

    def load(self) -> Dataset:
        """Opens both splits; faults are errors that name the folder."""
        builder = open_prepared(self.name, self.data_dir)
        splits = [PreparedSplit(builder, split) for split in (self.train_split, self.test_split)]
        train, test = (_Prepared(split, self.image_size, self.crop) for split in splits)
        mean, std = channel_statistics(_spread(train, _STATISTICS_EXAMPLES))
        return Dataset(self.name, train, test, "test", splits[0].class_names, mean, std)


class _Prepared(Records):
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
        """See `Records.read`."""
        from PIL.Image import fromarray

        image, label = self._split.decode(example)
        height, width = image.shape[:2]
        box = choose_box(width, height, self._size, self._crop, random)
        # Pillow knows grey images without a channel axis only.
        picture = fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        return resize_box(picture, box, self._size), np.int32(label)


def _spread(records: Records, count: int) -> np.ndarray:
    """At most `count` of the images, evenly spread, as they are evaluated on."""
    places = np.linspace(0, len(records) - 1, min(count, len(records))).astype(int)
    return np.stack([records.read(int(place), None)[0] for place in places])
