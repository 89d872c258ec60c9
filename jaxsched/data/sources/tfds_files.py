"""Prepared data sets of TensorFlow Datasets (TFDS), read without TensorFlow."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data.fields import check_folder, check_text, find_folder
from jaxsched.data.fingerprint import digest, files_digest
from jaxsched.data.transforms.decode import Mode, convert
from jaxsched.extras import require_extra

_PREPARE_AGAIN = "A file there is cut short or damaged: prepare or copy the set again."


def check_prepared(owner: str, source: Any) -> None:
    """Checks the fields that name prepared splits; strips "tfds:" from the data set's name.

    Raises:
        ValueError: when the name is empty, or a field is no text.
    """
    check_text(owner, "name", source.name)
    name = source.name.removeprefix("tfds:")
    if not name:
        raise ValueError(f'{owner} needs the name of a data set, got none; try "tfds:cifar10".')
    object.__setattr__(source, "name", name)
    if source.data_dir is not None:
        folder = check_folder(owner, "data_dir", source.data_dir)
        object.__setattr__(source, "data_dir", folder)
    check_text(owner, "train_split", source.train_split)
    check_text(owner, "test_split", source.test_split)


def open_prepared(name: str, data_dir: str | None) -> Any:
    """Opens a prepared data set with a TFDS builder that downloads nothing.

    Args:
        name: the name of the data set.
        data_dir: the folder it was prepared in; None for TFDS_DATA_DIR or ~/tensorflow_datasets.

    Raises:
        ImportError: when a package is missing; names the extra that installs it.
        FileNotFoundError: when the set is not prepared there, or not in this version or
            configuration.
        ValueError: when its description is damaged.
    """
    require_extra(f"Tfds({name!r})", "tfds", "PIL", "tensorflow_datasets")
    from tensorflow_datasets.core import DatasetNotFoundError
    from tensorflow_datasets.core.constants import get_default_data_dir
    from tensorflow_datasets.core.naming import parse_builder_name_kwargs
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    folder = find_folder(data_dir or str(get_default_data_dir()))
    try:
        parsed, _ = parse_builder_name_kwargs(name)
    except ValueError as error:
        raise ValueError(
            f"{name!r} is no name of a data set; expected NAME, NAME/CONFIGURATION or "
            "NAME:VERSION, such as cifar10:3.0.2."
        ) from error
    try:
        return builder_from_files(name, data_dir=str(folder))
    except DatasetNotFoundError as error:
        raise FileNotFoundError(_why_not_found(name, folder, parsed.name)) from error
    except ImportError:
        raise
    except Exception as error:  # TFDS's own, and those of readers of JSON
        raise ValueError(
            f"{name} in {folder / parsed.name} cannot be opened ({error}): its dataset_info.json "
            "or features.json is missing, damaged or of another version of TFDS. Prepare or copy "
            "the set again."
        ) from error


def _why_not_found(name: str, folder: Path, plain_name: str) -> str:
    """Says what of a data set is in a folder where TFDS does not find it."""
    here = folder / plain_name
    prepared = sorted(path.parent for path in here.rglob("dataset_info.json"))
    lacking = [path for path in prepared if not (path / "features.json").exists()]
    if lacking:
        return (
            f"{name} lacks features.json in {lacking[0]}, without which only its own code could "
            "read it: copy the whole folder, or prepare it again with a newer TFDS."
        )
    if prepared:
        found = ", ".join(str(path.relative_to(folder)) for path in prepared)
        return (
            f"{name} is not prepared in {folder} in this version and configuration; there are "
            f"{found}. Name one of these, such as NAME/CONFIGURATION:VERSION, or prepare {name}."
        )
    return (
        f"{name} is not prepared in {here}. Prepare it once, on a machine with a network and "
        f"TensorFlow: tfds build {name} --data_dir={folder}; or give the data_dir that holds it."
    )


class PreparedSplit:
    """One split of a prepared data set, decoded example by example.

    Args:
        builder: the result of `open_prepared`.
        split: TFDS's name of the split, or a slice of one.

    Attributes:
        where: the data set, the split and the folder, for the messages of errors.
        class_names: a name for each label.

    Raises:
        FileNotFoundError: when a file of the split is missing.
        ValueError: when there is no such split, it is empty, its task is not classification, or
            only TensorFlow can read it. In `decode`, when an example is damaged, has an image of
            neither 8 nor 16 bits, or has no label.
    """

    def __init__(self, builder: Any, split: str):
        self.where = f"{builder.name}, split {split!r}, in {builder.data_path}"
        self._name, self._folder = f"{builder.info.full_name} {split}", Path(builder.data_path)
        self._image_key, self._label_key = _keys(builder.info)
        self._mode: Mode | None = _image_mode(builder.info, self._image_key)
        self.class_names = tuple(builder.info.features[self._label_key].names)
        self._examples = _open_split(builder, split, self._image_key, self.where)

    def __len__(self) -> int:
        return len(self._examples)

    def digest(self) -> str:
        """Returns what identifies the split: the set's version, its name, and its files' sizes."""
        paths = sorted(self._folder.glob("*record*"))
        found = files_digest(((path.name, path) for path in paths), len(paths))
        return digest((self._name.encode(), found.encode()))

    def decode(self, number: int) -> tuple[np.ndarray, int]:
        """Decodes an example to its image, uint8[H, W, C], and label."""
        example = self._read(number)
        image, label = example[self._image_key], int(example[self._label_key])
        if isinstance(image, bytes):
            image = self._decode_file(number, image)
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

    def _read(self, number: int) -> Any:
        """An example whose image, if it is a file's, is not decoded yet."""
        try:
            example = self._examples[number]
            if any(example.get(key) is None for key in (self._image_key, self._label_key)):
                raise ValueError("it has no image or no label")
            return example
        except ImportError:
            raise  # a missing package is no damage
        except Exception as error:  # The readers of files raise many types.
            raise ValueError(
                f"{self.where}: example {number} cannot be read ({error}). {_PREPARE_AGAIN}"
            ) from error

    def _decode_file(self, number: int, content: bytes) -> np.ndarray:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                # TFDS's own decoder would keep the low 8 bits of 16, and a palette's numbers.
                grey = image.mode in ("1", "L", "I", "I;16")
                usual: Mode = "L" if grey else "RGB"
                mode: Mode = usual if self._mode is None else self._mode
                pixels = np.asarray(convert(image, mode))
        except Exception as error:  # Pillow's decoders raise many types.
            raise ValueError(
                f"{self.where}: the image of example {number} cannot be decoded ({error})."
            ) from error
        return pixels[..., None] if pixels.ndim == 2 else pixels


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


def _image_mode(info: Any, key: str) -> Mode | None:
    """Pillow's name of what the set's images are; None if their channels may vary.

    Raises:
        ValueError: when they are neither of 8 nor of 16 bits.
    """
    feature = info.features[key]
    if feature.np_dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{info.full_name} has images of {np.dtype(feature.np_dtype)}, and which value is "
            "white is not known; expected uint8 or uint16. Choose a set of ordinary images."
        )
    modes: dict[int, Mode] = {1: "L", 3: "RGB", 4: "RGBA"}
    return modes.get(feature.shape[-1]) if len(feature.shape) == 3 else None


def _open_split(builder: Any, split: str, image_key: str, where: str) -> Sequence[Any]:
    """The examples of one split, their images not yet decoded."""
    from tensorflow_datasets.core.decode import SkipDecoding
    from tensorflow_datasets.core.features import Image
    from tensorflow_datasets.core.file_adapters import FileFormat

    is_file = isinstance(builder.info.features[image_key], Image)
    decoders = {image_key: SkipDecoding()} if is_file else None
    try:
        chosen = builder.info.splits[split]
    except ValueError as error:
        splits = ", ".join(builder.info.splits)
        raise ValueError(f"{where}: {error} The set has the splits {splits}.") from error
    # TFDS cannot open an empty split.
    if chosen.num_examples == 0:
        raise ValueError(f"{where} has no examples; choose another split or a larger slice.")
    files = [_stored(one.filename) for one in chosen.file_instructions]
    missing = [path.name for path in files if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"{where}: {len(missing)} of {len(files)} files are missing, such as {missing[0]}: "
            "prepare or copy the set again."
        )
    try:
        return builder.as_data_source(split, decoders=decoders)
    except NotImplementedError as error:
        if builder.info.file_format is not FileFormat.TFRECORD:
            raise ValueError(
                f"{where}, is stored as {builder.info.file_format}, which cannot be read without "
                f"TensorFlow. Prepare it again: tfds build {builder.name}"
            ) from error
    return _open_tfrecords(builder.info, split, decoders, where)


def _stored(filename: str) -> Path:
    """The path of a file, or of what `gzip` has made of it."""
    path = Path(filename)
    compressed = path.with_name(f"{path.name}.gz")
    return compressed if compressed.exists() and not path.exists() else path


def _open_tfrecords(info: Any, split: str, decoders: Any, where: str) -> Sequence[Any]:
    """The examples of TFRecord files, which TFDS decodes, but reads with TensorFlow alone."""
    require_extra(f"The file format of {info.full_name}", "tfds", "google_crc32c")
    from tensorflow_datasets.core.data_sources.base import BaseDataSource

    from jaxsched.data.sources.tfrecord_files import FilePart, TfRecords

    parts = [
        FilePart(_stored(one.filename), one.skip, one.take, one.examples_in_shard)
        for one in info.splits[split].file_instructions
    ]
    source: Any = BaseDataSource  # whose annotations are narrower than what it takes
    examples = source(info, split, decoders)
    try:
        examples.data_source = TfRecords(parts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}. {_PREPARE_AGAIN}") from error
    return examples
