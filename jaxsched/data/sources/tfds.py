"""Any image-classification data set of TensorFlow Datasets, read without TensorFlow."""

from dataclasses import dataclass

import numpy as np

from jaxsched.data.dataset import Source
from jaxsched.data.fields import check_whole
from jaxsched.data.images import ImageDataset, Images, channel_statistics
from jaxsched.data.sources.tfds_files import PreparedSplit, check_prepared, open_prepared
from jaxsched.data.split import check_share, evaluation_split
from jaxsched.data.transforms.augment import Augment
from jaxsched.data.transforms.crop import to_pillow


@dataclass(frozen=True)
class Tfds(Source):
    """An image-classification data set that TensorFlow Datasets has prepared on this disk.

    TensorFlow is not needed to read or train, but only once, on the machine that prepares the set,
    because the preparation code of most sets calls it:

        pip install tensorflow tensorflow-datasets
        tfds build cifar10 --data_dir=DIR

    Copy DIR to the machine that trains. Nothing is downloaded. The whole set is held in host
    memory; for a larger one see `StreamedTfds`.

    TFDS itself decodes the examples, and reads them from the formats array_record and parquet. The
    files of its default format, TFRecord, are read by `TfRecords`, which verifies their checksums
    with google-crc32c and takes files that gzip has compressed, too.

    Attributes:
        name: TFDS's name, optionally with its configuration and version: "cifar10",
            "cifar10_corrupted/fog_3", "mnist:3.0.1"; "tfds:cifar10" is the same as "cifar10".
        data_dir: the folder it was prepared in; None for TFDS_DATA_DIR or ~/tensorflow_datasets.
        train_split: TFDS's name of the split, or a slice of one: "train[:10%]".
        test_split: the split to evaluate on; need not exist with a `validation` share.
        image_size: the side in pixels of the squares to resize to: the shorter side is resized to
            it (bilinear with antialiasing), and the centre is cropped. None keeps the images as
            they are, which must then be of one size.
        validation: the share of the training examples to evaluate on instead of the test split.

    Raises:
        ValueError: when `name` is empty, `image_size` below 1, `validation` outside [0, 1) or a
            field of another type.

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
        check_prepared("Tfds", self)
        if self.image_size is not None:
            check_whole("Tfds", "image_size", self.image_size)
        check_share("Tfds", self.validation)

    @property
    def augment(self) -> Augment:
        """CIFAR's crop and flip for CIFAR; none for others, as letters must not be flipped."""
        name = self.name.removeprefix("tfds:").partition(":")[0]
        return Augment() if name in ("cifar10", "cifar100") else super().augment

    def load(self) -> ImageDataset:
        """Decodes both splits into host memory; an error names the folder."""
        builder = open_prepared(self.name, self.data_dir)
        names = (self.train_split,) if self.validation else (self.train_split, self.test_split)
        splits = [PreparedSplit(builder, name) for name in names]
        read = [self._read(split) for split in splits]
        train, test = read[0], None if self.validation else read[1]
        train, test, evaluated_on = evaluation_split(train, test, self.validation)
        mean, std = channel_statistics(train.images)
        return ImageDataset(self.name, train, test, evaluated_on, splits[0].class_names, mean, std)

    def _read(self, split: PreparedSplit) -> Images:
        """Decodes all examples of one split."""
        images = np.empty((0,), np.uint8)
        labels = np.empty(len(split), np.int32)
        for number in range(len(split)):
            image, labels[number] = split.decode(number)
            if self.image_size is not None:
                image = _square(image, self.image_size)
            if number == 0:  # only now is the shape known
                images = np.empty((len(split), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"{split.where} has images of unequal sizes: example 0 is "
                    f"{list(images.shape[1:])}, example {number} is {list(image.shape)}. Give "
                    "image_size, the side in pixels to resize all to."
                )
            images[number] = image
        return Images(images, labels)


def _square(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes the shorter side of an image to `size`, and crops to the centre."""
    from PIL.Image import Resampling

    height, width = image.shape[:2]
    shorter = min(height, width)
    target = (round(width * size / shorter), round(height * size / shorter))
    resized = np.asarray(to_pillow(image).resize(target, Resampling.BILINEAR))
    resized = resized.reshape(*resized.shape[:2], image.shape[-1])
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    return resized[top : top + size, left : left + size]
