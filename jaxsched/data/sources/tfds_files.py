"""The files of a set that TensorFlow Datasets has prepared, read without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.extras import require_extra


def open_prepared(name: str, data_dir: str | None) -> Any:
    """TFDS's builder, which reads prepared files and downloads nothing.

    Args:
        name: of the set.
        data_dir: where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets where None.

    Raises:
        ImportError: when a package is missing; names the extra that installs it.
        FileNotFoundError: when the set is not prepared there.
    """
    require_extra(f"Tfds({name!r})", "tfds", "PIL", "tensorflow_datasets")
    from tensorflow_datasets.core import DatasetNotFoundError
    from tensorflow_datasets.core.constants import get_default_data_dir
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    folder = Path(data_dir or get_default_data_dir()).expanduser()
    try:
        return builder_from_files(name, data_dir=str(folder))
    except DatasetNotFoundError as error:
        raise FileNotFoundError(
            f"{name} is not prepared in {folder / name.split(':')[0]}. Prepare it once, where "
            f"there are a network and TensorFlow: tfds build {name} --data_dir={folder} "
            "--file_format=array_record; or give the data_dir that holds it."
        ) from error


class PreparedSplit:
    """One split of a prepared set, decoded record by record.

    Args:
        builder: from `open_prepared`.
        split: TFDS's name of the split, or a slice of one.

    Attributes:
        where: the set, the split and the folder, as errors name them.
        class_names: a name for each label.

    Raises:
        ValueError: when there is no such split, it is empty, it is of another task than
            classification, or only TensorFlow reads it; in decoding, when a record is damaged, no
            image of 8 bits or not labelled.
    """

    def __init__(self, builder: Any, split: str):
        self.where = f"{builder.name}, split {split!r}, in {builder.data_path}"
        self._image_key, self._label_key = _keys(builder.info)
        self.class_names = tuple(builder.info.features[self._label_key].names)
        self._records = _records(builder, split, self.where)

    def __len__(self) -> int:
        return len(self._records)

    def decode(self, number: int) -> tuple[np.ndarray, int]:
        """One record's image, uint8[H, W, C], and label."""
        try:
            record = self._records[number]
        except Exception as error:  # The readers of files and images raise whatever they like.
            raise ValueError(
                f"{self.where}: record {number} cannot be read ({error}). A file there is missing, "
                "cut short or damaged: prepare or copy the set again."
            ) from error
        image, label = np.asarray(record[self._image_key]), int(record[self._label_key])
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                f"{self.where}: record {number} has an image of {image.dtype}{list(image.shape)}; "
                "expected uint8[H, W, C]. Choose a set of ordinary images."
            )
        if label < 0:
            raise ValueError(
                f"{self.where}: record {number} has label {label}, that is none; choose a split "
                "that is labelled."
            )
        return image, label


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
