"""Any image-classification set of TensorFlow Datasets, read without TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data.dataset import Dataset, Images, Source, channel_statistics
from jaxsched.data.split import check_share, evaluation_split

_PREFIX = "tfds:"


@dataclass(frozen=True)
class Tfds(Source):
    """An image-classification set that TensorFlow Datasets has prepared on this disk.

    TensorFlow itself is needed neither here nor in training, only once, wherever the set is
    prepared, because most sets' own preparation code calls it:

        pip install tensorflow tensorflow-datasets
        tfds build cifar10 --data_dir=DIR --file_format=array_record

    Copy DIR to where you train. Nothing is downloaded. The whole set is held in memory.

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
        builder = self._builder()
        image_key, label_key = _keys(builder.info)
        train, test = (
            self._read(builder, split, image_key, label_key)
            for split in (self.train_split, self.test_split)
        )
        train, test, evaluated_on = evaluation_split(train, test, self.validation)
        mean, std = channel_statistics(train.images)
        names = tuple(builder.info.features[label_key].names)
        return Dataset(self.name, train, test, evaluated_on, names, mean, std)

    def _builder(self) -> Any:
        """What reads the prepared files; it downloads nothing."""
        try:
            import PIL.Image  # noqa: F401 - decodes the images
            from tensorflow_datasets.core import DatasetNotFoundError
            from tensorflow_datasets.core.constants import get_default_data_dir
            from tensorflow_datasets.core.read_only_builder import builder_from_files
        except ImportError as error:
            raise ImportError(
                f"Tfds({self.name!r}) needs {error.name}: pip install 'jaxsched[tfds]'"
            ) from error
        folder = Path(self.data_dir or get_default_data_dir()).expanduser()
        try:
            return builder_from_files(self.name, data_dir=str(folder))
        except DatasetNotFoundError as error:
            raise FileNotFoundError(
                f"{self.name} is not prepared in {folder / self.name.split(':')[0]}. Prepare it "
                "once, where there are a network and TensorFlow: "
                f"tfds build {self.name} --data_dir={folder} --file_format=array_record; or give "
                "the data_dir that holds it."
            ) from error

    def _read(self, builder: Any, split: str, image_key: str, label_key: str) -> Images:
        """All examples of one split."""
        where = f"{self.name}, split {split!r}, in {builder.data_path}"
        records = _records(builder, split, where)
        images = np.empty((0,), np.uint8)
        labels = np.empty(len(records), np.int32)
        for number in range(len(records)):
            image, labels[number] = _decode(records, number, image_key, label_key, where)
            if self.image_size is not None:
                image = _square(image, self.image_size)
            if number == 0:
                images = np.empty((len(records), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"{where} has images of unequal sizes: record 0 is "
                    f"{list(images.shape[1:])}, record {number} is {list(image.shape)}. Give "
                    "image_size, the side in pixels to resize all to."
                )
            images[number] = image
        return Images(images, labels)


def _keys(info: Any) -> tuple[str, str]:
    """Under which names a record holds its image and its label."""
    keys = info.supervised_keys or ("image", "label")
    features = dict(info.features.items())
    # A set of another task has more than two keys, or nested ones, or no class names.
    plain = len(keys) == 2 and all(isinstance(key, str) and key in features for key in keys)
    if not plain or not hasattr(features[keys[1]], "names"):
        raise ValueError(
            f"{info.full_name} is no image-classification set: expected an image and a class "
            f"label, got the features {', '.join(features)}; choose another set."
        )
    return keys


def _records(builder: Any, split: str, where: str) -> Sequence[Any]:
    """The records of one split, not yet decoded."""
    try:
        empty = builder.info.splits[split].num_examples == 0
        records = [] if empty else builder.as_data_source(split)
    except NotImplementedError as error:
        raise ValueError(
            f"{where}, is stored as {builder.info.file_format}, which only TensorFlow reads. "
            f"Prepare it again: tfds build {builder.name} --file_format=array_record"
        ) from error
    except ValueError as error:
        splits = ", ".join(builder.info.splits)
        raise ValueError(f"{where}: {error} The set has the splits {splits}.") from error
    if empty:
        raise ValueError(f"{where}, has no examples; choose another split or a larger slice.")
    return records


def _decode(
    records: Sequence[Any], number: int, image_key: str, label_key: str, where: str
) -> tuple[np.ndarray, int]:
    """One record's image, uint8[H, W, C], and label."""
    try:
        record = records[number]
    except Exception as error:  # The readers of files and images raise whatever they like.
        raise ValueError(
            f"{where}: record {number} cannot be read ({error}). A file there is missing, cut "
            "short or damaged: prepare or copy the set again."
        ) from error
    image, label = np.asarray(record[image_key]), int(record[label_key])
    if image.dtype != np.uint8 or image.ndim != 3:
        raise ValueError(
            f"{where}: record {number} has an image of {image.dtype}{list(image.shape)}; expected "
            "uint8[H, W, C]. Choose a set of ordinary images."
        )
    if label < 0:
        raise ValueError(
            f"{where}: record {number} has label {label}, that is none; choose a split that is "
            "labelled."
        )
    return image, label


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
