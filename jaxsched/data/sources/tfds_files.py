"""Prepared data sets of TensorFlow Datasets (TFDS), read without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data.fingerprint import digest, files_digest
from jaxsched.extras import require_extra


def check_name(source: str, name: str) -> str:
    """The name of a data set without the prefix "tfds:".

    Raises:
        ValueError: when the name is empty.
    """
    name = name.removeprefix("tfds:")
    if not name:
        raise ValueError(f'{source} needs the name of a data set, got none; try "tfds:cifar10".')
    return name


def open_prepared(name: str, data_dir: str | None) -> Any:
    """Opens a prepared data set with a TFDS builder that downloads nothing.

    Args:
        name: the name of the data set.
        data_dir: the folder it was prepared in; None for TFDS_DATA_DIR or ~/tensorflow_datasets.

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
            f"{name} is not prepared in {folder / name.split(':')[0]}. Prepare it once, on a "
            f"machine with a network and TensorFlow: tfds build {name} --data_dir={folder} "
            "--file_format=array_record; or give the data_dir that holds it."
        ) from error


class PreparedSplit:
    """One split of a prepared data set, decoded example by example.

    Args:
        builder: the result of `open_prepared`.
        split: TFDS's name of the split, or a slice of one.

    Attributes:
        where: the data set, the split and the folder, for the messages of errors.
        class_names: a name for each label.

    Raises:
        ValueError: when there is no such split, it is empty, its task is not classification, or
            only TensorFlow can read it. In `decode`, when an example is damaged, has no 8-bit
            image, or has no label.
    """

    def __init__(self, builder: Any, split: str):
        self.where = f"{builder.name}, split {split!r}, in {builder.data_path}"
        self._name, self._folder = f"{builder.info.full_name} {split}", Path(builder.data_path)
        self._image_key, self._label_key = _keys(builder.info)
        self.class_names = tuple(builder.info.features[self._label_key].names)
        self._examples = _open_split(builder, split, self.where)

    def __len__(self) -> int:
        return len(self._examples)

    def digest(self) -> str:
        """Returns what identifies the split: the set's version, its name, and its files' sizes."""
        paths = sorted(self._folder.glob("*record*"))
        found = files_digest(((path.name, path) for path in paths), len(paths))
        return digest((self._name.encode(), found.encode()))

    def decode(self, number: int) -> tuple[np.ndarray, int]:
        """Decodes an example to its image, uint8[H, W, C], and label."""
        try:
            example = self._examples[number]
        except Exception as error:  # The readers of files and images raise many types.
            raise ValueError(
                f"{self.where}: example {number} cannot be read ({error}). A file there is "
                "missing, cut short or damaged: prepare or copy the set again."
            ) from error
        image, label = np.asarray(example[self._image_key]), int(example[self._label_key])
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                f"{self.where}: example {number} has an image of {image.dtype}{list(image.shape)}; "
                "expected uint8[H, W, C]. Choose a set of ordinary images."
            )
        if label < 0:
            raise ValueError(
                f"{self.where}: example {number} has label {label}, which means none; choose a "
                "split that is labelled."
            )
        return image, label


def _keys(info: Any) -> tuple[str, str]:
    """The keys of an example's image and of its label."""
    keys = info.supervised_keys or ("image", "label")
    features = dict(info.features.items())
    # A data set for another task has more than two keys, or nested ones, or no class names.
    plain = len(keys) == 2 and all(isinstance(key, str) and key in features for key in keys)
    if not plain or not hasattr(features[keys[1]], "names"):
        raise ValueError(
            f"{info.full_name} is no image-classification data set: expected an image and a class "
            f"label, got the features {', '.join(features)}; choose another set."
        )
    return keys


def _open_split(builder: Any, split: str, where: str) -> Sequence[Any]:
    """The examples of one split, not yet decoded."""
    try:
        # TFDS cannot open an empty split.
        empty = builder.info.splits[split].num_examples == 0
        examples = [] if empty else builder.as_data_source(split)
    except NotImplementedError as error:
        raise ValueError(
            f"{where}, is stored as {builder.info.file_format}, which only TensorFlow can read. "
            f"Prepare it again: tfds build {builder.name} --file_format=array_record"
        ) from error
    except ValueError as error:
        splits = ", ".join(builder.info.splits)
        raise ValueError(f"{where}: {error} The set has the splits {splits}.") from error
    if empty:
        raise ValueError(f"{where}, has no examples; choose another split or a larger slice.")
    return examples
