"""Writes the folder tfrecord: a small set that TFDS's own builder prepares with TensorFlow.

    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0 \
        tensorflow-datasets==4.9.10 scikit-learn pillow
    /tmp/tf/bin/python tests/data/sources/record_tfrecord.py

It is `SmallScans` of test_tfds.py with fewer scans, 21 to train and 6 to test, each in four files.
`compressed` is the first training file as TensorFlow itself writes one with gzip.
"""

import io
import pathlib

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

FOLDER = pathlib.Path(__file__).with_name("tfrecord")


class SmallScans(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Scans of digits, 8×8 and grey."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        image = tfds.features.Image(shape=(8, 8, 1))
        label = tfds.features.ClassLabel(names=list("ABCDEFGHIJ"))
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("image", "label")
        )

    def _split_generators(self, _):
        return {
            "train": self._generate_examples(range(21)),
            "test": self._generate_examples(range(21, 27)),
        }

    def _generate_examples(self, numbers):
        scans = load_digits()
        for number in numbers:
            content = io.BytesIO()
            Image.fromarray((scans.images[number] * 15).astype(np.uint8)).save(content, "PNG")
            content.seek(0)
            yield number, {"image": content, "label": int(scans.target[number])}


def main():
    """Prepares the set in TFDS's default format, each split in four files."""
    import tensorflow as tf

    builder = SmallScans(data_dir=FOLDER)
    config = tfds.download.DownloadConfig(num_shards=4)
    builder.download_and_prepare(download_config=config)
    (first, *_) = sorted(builder.data_path.glob("*-train.*"))
    with tf.io.TFRecordWriter(str(FOLDER / "compressed"), "GZIP") as writer:
        for content in tf.data.TFRecordDataset(str(first)):
            writer.write(content.numpy())


if __name__ == "__main__":
    main()
