"""Small sets are prepared offline, from scikit-learn's digits as PNG files."""

import io
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxsched.data import BatchReader, RandomResizedCrop, StreamedTfds, Tfds

tfds = pytest.importorskip("tensorflow_datasets")
tfds.disable_progress_bar()

TRAIN, TEST = 60, 20
SIZES = [(8, 8), (12, 9), (9, 20)]


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    content.seek(0)
    return content


def scan(number):
    """Scan `number`, uint8[8, 8], and its label."""
    scans = load_digits()
    return (scans.images[number] * 15).astype(np.uint8), int(scans.target[number])


class Prepared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The base class of the small data sets."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE = (8, 8, 1)
    code_path = None  # where TFDS would look for checksums of downloads; there are none

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=self.SHAPE),
            "label": tfds.features.ClassLabel(names=list("ABCDEFGHIJ")),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, _):
        return {
            "train": self._generate_examples(range(TRAIN)),
            "test": self._generate_examples(range(TRAIN, TRAIN + TEST)),
        }

    def _generate_examples(self, numbers):
        for number in numbers:
            pixels, label = scan(number)
            yield number, {"image": png(self.image(number, pixels)), "label": label}

    def image(self, number, pixels):
        return pixels


class SmallScans(Prepared, skip_registration=True):
    """All 8×8 and grey."""


class UnequalScans(Prepared, skip_registration=True):
    """Colour images of three sizes."""

    SHAPE = (None, None, 3)

    def image(self, number, pixels):
        width, height = SIZES[number % 3]
        return np.asarray(Image.fromarray(pixels).resize((width, height)).convert("RGB"))


class Unlabelled(SmallScans, skip_registration=True):
    """A test split without labels, as some sets have."""

    def _generate_examples(self, numbers):
        for number, example in super()._generate_examples(numbers):
            yield number, example | {"label": -1 if number >= TRAIN else example["label"]}


class Boxes(SmallScans, skip_registration=True):
    """Images without a class."""

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.SHAPE), "area": np.int64}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self, numbers):
        for number in numbers:
            yield number, {"image": png(scan(number)[0]), "area": 64}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    for builder in (SmallScans, UnequalScans, Unlabelled, Boxes):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return str(folder)


def as_multiset(images, labels):
    """Preparing shuffles, so the pairs are compared and not their order."""
    return sorted(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


def test_a_prepared_set_is_read_back(data_dir):
    dataset = Tfds("tfds:small_scans", data_dir).load()
    for split, numbers in (
        (dataset.train, range(TRAIN)),
        (dataset.test, range(TRAIN, TRAIN + TEST)),
    ):
        assert split.images.shape == (len(numbers), 8, 8, 1)
        wanted, labels = zip(*map(scan, numbers), strict=True)
        assert as_multiset(split.images, split.labels) == as_multiset(wanted, labels)
    assert (dataset.name, dataset.evaluated_on) == ("small_scans", "test")
    assert dataset.class_names == tuple("ABCDEFGHIJ")
    np.testing.assert_allclose(dataset.mean, (dataset.train.images / 255).mean(), rtol=1e-12)


def test_slices_versions_and_validation(data_dir):
    source = Tfds("small_scans:1.0.0", data_dir, train_split="train[:75%]", validation=0.1)
    dataset = source.load()
    assert dataset.evaluated_on == "validation"
    assert len(dataset.train) + len(dataset.test) == TRAIN * 3 // 4


def test_images_of_unequal_sizes_need_image_size(data_dir):
    with pytest.raises(ValueError, match=r"unequal sizes: example 0 is .*Give image_size"):
        Tfds("unequal_scans", data_dir).load()


def test_image_size_resizes_the_shorter_side_and_crops_the_centre(data_dir):
    dataset = Tfds("unequal_scans", data_dir, image_size=6).load()
    assert dataset.train.images.shape == (TRAIN, 6, 6, 3)
    wanted, labels = [], []
    for number in range(TRAIN):
        pixels, label = scan(number)
        width, height = SIZES[number % 3]
        image = Image.fromarray(pixels).resize((width, height)).convert("RGB")
        # 8×8 becomes 6×6; 12×9 8×6, less a column each side; 9×20 6×13, less 3 and 4 rows.
        wide, high, left, top = [(6, 6, 0, 0), (8, 6, 1, 0), (6, 13, 0, 3)][number % 3]
        resized = image.resize((wide, high), Image.Resampling.BILINEAR)
        wanted.append(np.asarray(resized.crop((left, top, left + 6, top + 6))))
        labels.append(label)
    got = as_multiset(dataset.train.images, dataset.train.labels)
    assert got == as_multiset(wanted, labels)


def test_grey_images_are_resized_too(data_dir):
    assert Tfds("small_scans", data_dir, image_size=4).load().test.images.shape == (TEST, 4, 4, 1)


@pytest.mark.parametrize("name", ["small_scans", "unequal_scans"])
def test_streamed_without_a_crop_it_is_the_same_set(data_dir, name):
    whole = Tfds(name, data_dir, image_size=6).load()
    streamed = StreamedTfds(f"tfds:{name}", data_dir, image_size=6, crop=None).load()
    assert streamed.class_names == whole.class_names
    for streamed_images, images in ((streamed.train, whole.train), (streamed.test, whole.test)):
        with BatchReader(streamed_images, np.arange(20), None, batch_size=10, seed=0) as reader:
            read, labels = map(np.concatenate, zip(*reader, strict=True))
        assert len(streamed_images) == len(images)
        np.testing.assert_allclose(read, images.images[:20], atol=1)
        np.testing.assert_array_equal(labels, images.labels[:20])
    np.testing.assert_allclose(streamed.mean, whole.mean, atol=1 / 255)


def test_streamed_images_are_cropped_in_training_and_read_by_workers_too(
    data_dir, assert_workers_read_the_same
):
    crop = RandomResizedCrop(centre=0.5)
    train = StreamedTfds("small_scans", data_dir, image_size=4, crop=crop).load().train
    stored = Tfds("small_scans", data_dir).load().train.images
    # Half of 8 pixels is 4: the middle itself.
    np.testing.assert_array_equal(train.read(3, None)[0], stored[3, 2:6, 2:6])
    seen = [train.read(3, np.random.default_rng(seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()
    assert_workers_read_the_same(train, count=20, batch_size=10)


def test_a_streamed_split_without_labels_is_refused_before_training(data_dir):
    with pytest.raises(ValueError, match=r"split 'test', in .*example 0 has label -1"):
        StreamedTfds("unlabelled", data_dir, image_size=6).load()


def test_tensorflow_is_never_imported(data_dir, tmp_path):
    # A fake TensorFlow that reports its import, for machines that have none.
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('TensorFlow imported')")
    code = f"""
        import sys
        from jaxsched.data import BatchReader, StreamedTfds, Tfds
        assert len(Tfds("unequal_scans", {data_dir!r}, image_size=6).load().train) == {TRAIN}
        assert "tensorflow" not in sys.modules
    """
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("package", ["tensorflow_datasets", "PIL"])
def test_a_missing_package_names_the_extra(monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"needs {package}.* \[tfds\] brings: pip install 'jaxsched\[tfds\]'"
    ):
        Tfds("mnist").load()


def test_a_set_that_is_not_prepared_names_the_folder_and_the_command(tmp_path, monkeypatch):
    message = r"mnist is not prepared in .*{0}.*mnist\. .*tfds build mnist --data_dir=.*{0}"
    with pytest.raises(FileNotFoundError, match=message.format("nothing_here")):
        Tfds("mnist", str(tmp_path / "nothing_here")).load()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "from_environment"))
    with pytest.raises(FileNotFoundError, match=message.format("from_environment")):
        Tfds("mnist").load()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Tfds("small_scans", test_split="validation"), "'validation'.*has the splits train, test"),
        (Tfds("small_scans", test_split="test[:0%]"), "split 'test.*no examples; choose"),
        (Tfds("boxes"), "no image-classification data set: .*got the features"),
        (Tfds("unlabelled"), "split 'test'.*example .* has label -1, which means none"),
    ],
    ids=repr,
)
def test_unsuitable_data_sets_are_refused(data_dir, source, message):
    with pytest.raises(ValueError, match=message):
        type(source)(source.name, data_dir, test_split=source.test_split).load()


def test_a_file_cut_short_is_named_by_its_folder(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    (file,) = (tmp_path / "copy" / "small_scans" / "1.0.0").glob("*-test.array_record*")
    whole = file.read_bytes()
    message = r"split 'test', in .*small_scans.*1\.0\.0: .*prepare or copy the set again"
    for content in (b"", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            Tfds("small_scans", str(tmp_path / "copy")).load()
    file.unlink()
    with pytest.raises(ValueError, match=message):
        Tfds("small_scans", str(tmp_path / "copy")).load()


def test_a_format_that_needs_tensorflow_is_refused(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    info = tmp_path / "copy" / "small_scans" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(ValueError, match=r"only TensorFlow can read.*--file_format=array_record"):
        Tfds("small_scans", str(tmp_path / "copy")).load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"name": "tfds:"}, "needs the name"), ({"name": "mnist", "image_size": 0}, "at least 1")],
)
@pytest.mark.parametrize("source", [Tfds, StreamedTfds])
def test_wrong_fields_are_refused_when_they_are_written(source, fields, message):
    with pytest.raises(ValueError, match=message):
        source(**fields)
