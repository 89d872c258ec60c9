"""Any image-classification set of TensorFlow Datasets, read without TensorFlow."""

from dataclasses import dataclass

import numpy as np

from jaxsched.data.dataset import Dataset, Images, Source, channel_statistics
from jaxsched.data.sources.tfds_files import PreparedSplit, open_prepared
from jaxsched.data.split import check_share, evaluation_split

_PREFIX = "tfds:"


@dataclass(frozen=True)
class Tfds(Source):
    """An image-classification set that TensorFlow Datasets has prepared on this disk.

    TensorFlow itself is needed neither here nor in training, only once, wherever the set is
    prepared, because most sets' own preparation code calls it:

        pip install tensorflow tensorflow-datasets
        tfds build cifar10 --data_dir=DIR --file_format=array_record

    Copy DIR to where you train. Nothing is downloaded. The whole set is held in memory; for a
    larger one see `StreamedTfds`.

    Attributes:
        name: TFDS's name, with its configuration and version if you wish: "cifar10",
            "cifar10_corrupted/fog_3", "mnist:3.0.1"; "tfds:cifar10" is the same as "cifar10".
        data_dir: where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets where None.
        train_split: TFDS's name of the split, or a slice of one: "train[:10%]".
        test_split: the split that evaluations run on.
        image_size: resize to squares of this many pixels: the shorter side to it (bilinear with
            antialiasing), then a crop of the centre. Needed where the images are of unequal sizes.
        validation: the share of the training examples to evaluate on instead of the test split.

    Raises:
        ValueError: when `name` is empty, `image_size` below 1 or `validation` outside [0, 1).

    Source:
        https://www.tensorflow.org/datasets/data_source.

    Example:
        >>> from jaxsched.data import Tfds
        >>> Tfds("tfds:cifar10", data_dir="~/tfds") == Tfds("cifar10", data_dir="~/tfds")
        True
    """

    name: str
    data_dir: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_size: int | None = None
    validation: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "name", self.name.removeprefix(_PREFIX))
        if not self.name:
            raise ValueError('Tfds needs the name of a data set, got none; try "tfds:cifar10".')
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"Tfds needs image_size of at least 1, got {self.image_size}.")
        check_share("Tfds", self.validation)

    def load(self) -> Dataset:
        """Decodes both splits into memory; faults are errors that name the folder."""
        builder = open_prepared(self.name, self.data_dir)
        splits = [PreparedSplit(builder, split) for split in (self.train_split, self.test_split)]
        train, test = map(self._read, splits)
        train, test, evaluated_on = evaluation_split(train, test, self.validation)
        mean, std = channel_statistics(train.images)
        return Dataset(self.name, train, test, evaluated_on, splits[0].class_names, mean, std)

    def _read(self, split: PreparedSplit) -> Images:
        """All examples of one split."""
        images = np.empty((0,), np.uint8)
        labels = np.empty(len(split), np.int32)
        for number in range(len(split)):
            image, labels[number] = split.decode(number)
            if self.image_size is not None:
                image = _square(image, self.image_size)
            if number == 0:
                images = np.empty((len(split), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"{split.where} has images of unequal sizes: record 0 is "
                    f"{list(images.shape[1:])}, record {number} is {list(image.shape)}. Give "
                    "image_size, the side in pixels to resize all to."
                )
            images[number] = image
        return Images(images, labels)


def _square(image: np.ndarray, size: int) -> np.ndarray:
    """The image with its shorter side resized to `size`, then cropped to its centre."""
    from PIL.Image import Resampling, fromarray

    height, width = image.shape[:2]
    shorter = min(height, width)
    target = (round(width * size / shorter), round(height * size / shorter))
    # Pillow knows grey images without a channel axis only.
    picture = fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    resized = np.asarray(picture.resize(target, Resampling.BILINEAR))
    resized = resized.reshape(*resized.shape[:2], image.shape[-1])
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    return resized[top : top + size, left : left + size]
