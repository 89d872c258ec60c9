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


class DeepScans(Prepared, skip_registration=True):
    """16 bits, of which the low 8 are no picture; no test split."""

    DTYPE = np.uint16

    def _info(self):
        image = tfds.features.Image(shape=self.SHAPE, dtype=self.DTYPE)
        label = tfds.features.ClassLabel(names=list("ABCDEFGHIJ"))
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, _):
        return {"train": self._generate_examples(range(TRAIN))}

    def image(self, number, pixels):
        return pixels.astype(np.uint16) * 256 + 255 - pixels


class Mislabelled(DeepScans, skip_registration=True):
    """Says that its images have 8 bits, but their files have 16."""

    DTYPE = np.uint8


class Palettes(Prepared, skip_registration=True):
    """Its files hold numbers of colours; the colours say what is seen."""

    SHAPE = (None, None, None)

    def _generate_examples(self, numbers):
        for number in numbers:
            pixels, label = scan(number)
            image = Image.fromarray(pixels).convert("RGB").quantize()
            content = io.BytesIO()
            image.save(content, "PNG")
            content.seek(0)
            yield number, {"image": content, "label": label}


class Floats(SmallScans, skip_registration=True):
    """Numbers between 0 and 1."""

    def _info(self):
        image = tfds.features.Tensor(shape=self.SHAPE, dtype=np.float32)
        label = tfds.features.ClassLabel(names=list("ABCDEFGHIJ"))
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self, numbers):
        for number in numbers:
            pixels, label = scan(number)
            yield number, {"image": (pixels[..., None] / 255).astype(np.float32), "label": label}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    builders = (SmallScans, UnequalScans, Unlabelled, Boxes, DeepScans, Mislabelled, Palettes)
    for builder in (*builders, Floats):
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


@pytest.mark.parametrize("name", ["deep_scans", "mislabelled"])
def test_16_bits_are_scaled_and_never_cut(data_dir, name):
    """Also a validation share of a set without a test split."""
    dataset = Tfds(name, data_dir, validation=0.2).load()
    assert dataset.evaluated_on == "validation"
    wanted, labels = zip(*map(scan, range(TRAIN)), strict=True)
    images = np.concatenate([dataset.train.images, dataset.test.images])
    found = np.concatenate([dataset.train.labels, dataset.test.labels])
    assert as_multiset(images, found) == as_multiset(wanted, labels)
    streamed = StreamedTfds(name, data_dir, "train[:50%]", "train[50%:]", 8, crop=None).load()
    assert streamed.train.read(0, None)[0].max() > 200


def test_a_palette_is_read_as_its_colours(data_dir):
    dataset = Tfds("palettes", data_dir).load()
    assert dataset.image_shape == (8, 8, 3)
    wanted, labels = zip(*map(scan, range(TRAIN, TRAIN + TEST)), strict=True)
    colours = [np.repeat(pixels[..., None], 3, axis=-1) for pixels in wanted]
    assert as_multiset(dataset.test.images, dataset.test.labels) == as_multiset(colours, labels)


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
        (Tfds("floats"), "has images of float32, .*expected uint8 or uint16"),
        (Tfds("deep_scans"), "Unknown split 'test'.*has the splits train"),
        (Tfds("small_scans:::"), r"'small_scans:::' is no name of a data set; expected NAME"),
        (Tfds("unlabelled"), "split 'test'.*example .* has label -1, which means none"),
    ],
    ids=repr,
)
def test_unsuitable_data_sets_are_refused(data_dir, source, message):
    with pytest.raises(ValueError, match=message):
        type(source)(source.name, data_dir, test_split=source.test_split).load()


@pytest.fixture
def copied(data_dir, tmp_path):
    """The folder of a copy of the small set."""
    shutil.copytree(f"{data_dir}/small_scans", tmp_path / "copy" / "small_scans")
    return tmp_path / "copy" / "small_scans" / "1.0.0"


def load(copied, name="small_scans"):
    return Tfds(name, str(copied.parents[1])).load()


def test_a_file_cut_short_is_named_by_its_folder(copied):
    (file,) = copied.glob("*-test.array_record*")
    whole = file.read_bytes()
    message = r"split 'test', in .*small_scans.*1\.0\.0: .*cut short or damaged: prepare or copy"
    for content in (b"", whole[: len(whole) // 2], bytes(3000) + whole[3000:]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(copied)


def test_what_is_missing_is_named_and_not_called_damaged(copied):
    """The set itself, its version, its features, one of its files."""
    with pytest.raises(FileNotFoundError, match=r"other_scans is not prepared in .*other_scans"):
        load(copied, "other_scans")
    for name in ("small_scans:2.0.0", "small_scans/other"):
        with pytest.raises(
            FileNotFoundError,
            match=rf"{name} is not prepared in .* in this version .*there are small_scans/1\.0\.0",
        ):
            load(copied, name)
    (file,) = copied.glob("*-test.array_record*")
    file.rename(copied / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"1 of 1 files are missing, such as {file.name}"):
        load(copied)
    (copied / "features.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks features\.json in .*small_scans/1\.0\.0"):
        load(copied)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_a_damaged_description_is_named(copied, name):
    (copied / name).write_text("{half")
    with pytest.raises(ValueError, match=r"dataset_info\.json\s+or features\.json is missing, dam"):
        load(copied)


def test_the_folder_may_be_in_the_home_folder(copied, monkeypatch):
    monkeypatch.setenv("HOME", str(copied.parents[2]))
    assert len(Tfds("small_scans", "~/copy").load().test) == TEST
    monkeypatch.setenv("TFDS_DATA_DIR", "~/copy")
    assert len(Tfds("small_scans").load().test) == TEST


def test_a_format_that_cannot_be_read_is_refused(data_dir, tmp_path):
    shutil.copytree(f"{data_dir}/small_scans", tmp_path / "small_scans")
    folder = tmp_path / "small_scans" / "1.0.0"
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"riegeli"'))
    for path in folder.glob("*array_record*"):
        path.rename(folder / path.name.replace("array_record", "riegeli"))
    with pytest.raises(ValueError, match=r"stored as .*RIEGELI.*tfds build small_scans"):
        Tfds("small_scans", str(tmp_path)).load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "tfds:"}, "needs the name"),
        ({"name": 5}, "name as text that is not empty, got name=5"),
        ({"image_size": 0}, "image_size as a whole number of at least 1, got image_size=0"),
        ({"image_size": 2.5}, "got image_size=2.5"),
        ({"data_dir": 5}, "data_dir as the path of a folder, .*got data_dir=5"),
        ({"train_split": None}, "train_split as text"),
        ({"test_split": ""}, "test_split as text"),
    ],
)
@pytest.mark.parametrize("source", [Tfds, StreamedTfds])
def test_wrong_fields_are_refused_when_they_are_written(source, fields, message):
    with pytest.raises(ValueError, match=message):
        source(**({"name": "mnist"} | fields))
