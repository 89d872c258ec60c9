"""Folders of image files of every kind, written by Pillow."""

import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from jaxsched.data import Dataset, ImageFolder, RandomResizedCrop

PHOTO = Image.fromarray(load_sample_images().images[0]).resize((120, 90))


@pytest.fixture
def folder(tmp_path):
    """Two classes, three images to train on and one to evaluate on in each."""
    for split, names in (("train", ("b.JPEG", "a.jpeg", "c.png")), ("val", ("z.JPG",))):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / split / name).mkdir(parents=True)
            for file in names:
                PHOTO.rotate(90 * label).save(tmp_path / split / name / file)
    return tmp_path


def only(folder, image, name="x.png", **options):
    """Reads a data set of a single file, as in evaluation."""
    for split in ("train", "val"):
        (folder / split / "c").mkdir(parents=True)
        image.save(folder / split / "c" / name, **options)
    images = ImageFolder(str(folder), image_size=30, crop=None).load().train
    return images.read(0, None)[0].astype(int)


def centre(image, size=30):
    """The centre by Pillow alone: the height, the shorter side of the photo, becomes `size`."""
    resized = image.resize((40, 30), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((5, 0, 35, 30))).astype(int)


def test_labels_by_class_and_examples_by_name(folder):
    (folder / "train" / "cat" / ".hidden.jpeg").write_text("no image")
    (folder / "train" / "cat" / "notes.txt").write_text("no image either")
    (folder / "train" / ".cache").mkdir()
    dataset = ImageFolder(str(folder), image_size=32).load()
    assert isinstance(dataset, Dataset)
    assert dataset.class_names == ("cat", "dog")
    assert (len(dataset.train), len(dataset.test)) == (6, 2)
    assert dataset.train.image_shape == (32, 32, 3)
    read = [dataset.train.read(example, None) for example in range(6)]
    assert [int(label) for _, label in read] == [0, 0, 0, 1, 1, 1]
    assert all(image.dtype == np.uint8 and image.shape == (32, 32, 3) for image, _ in read)
    # a and b are JPEG, c is lossless: the errors show that they come in this order.
    exact = ImageFolder(str(folder), image_size=30, crop=None).load().train
    errors = [np.abs(exact.read(i, None)[0] - centre(PHOTO)).max() for i in range(3)]
    assert errors[2] <= 1 < min(errors[:2])


def test_training_sees_random_parts_and_evaluation_the_centre(folder):
    images = ImageFolder(str(folder), image_size=24).load().train
    seen = [images.read(2, np.random.default_rng(seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()
    left, top, right, bottom = RandomResizedCrop().box(120, 90, np.random.default_rng(0))
    part = PHOTO.crop((left, top, right, bottom)).resize((24, 24), Image.Resampling.BILINEAR)
    inside = np.s_[2:-2, 2:-2]  # at its edges a crop of its own does not see the pixels outside
    np.testing.assert_allclose(seen[0][inside], np.asarray(part)[inside], atol=1)
    np.testing.assert_array_equal(images.read(2, None)[0], images.read(2, None)[0])


def test_workers_read_the_same(folder, assert_workers_read_the_same):
    images = ImageFolder(str(folder), image_size=24).load().train
    assert_workers_read_the_same(images, count=6, batch_size=3)


def test_colours_of_every_kind_become_rgb(tmp_path):
    grey = PHOTO.convert("L")
    expected = {
        "grey": (grey, grey.convert("RGB"), "png", {}, 1),
        "palette": (PHOTO.quantize(), PHOTO.quantize().convert("RGB"), "png", {}, 1),
        "alpha": (PHOTO.convert("RGBA"), PHOTO, "png", {}, 1),
        "cmyk": (PHOTO.convert("CMYK"), PHOTO, "jpeg", {"quality": 100}, 12),
        "16 bits": (
            Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
            grey.convert("RGB"),
            "png",
            {},
            1,
        ),
    }
    for kind, (stored, seen, suffix, options, tolerance) in expected.items():
        got = only(tmp_path / kind, stored, f"x.{suffix}", **options)
        assert np.abs(got - centre(seen)).max() <= tolerance, kind


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_images_are_upright_also_where_they_are_decoded_smaller(tmp_path, orientation):
    turn = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]  # how the camera was held
    exif = Image.Exif()
    exif[0x0112] = orientation
    for factor, tolerance in ((1, 1), (4, 6)):
        upright = PHOTO.resize((120 * factor, 90 * factor))
        stored = upright.rotate(turn, expand=True)
        got = only(tmp_path / str(factor), stored, "x.jpeg", quality=100, exif=exif)
        assert np.abs(got - centre(upright)).mean() <= tolerance


def test_a_jpeg_decoded_smaller_looks_the_same(tmp_path):
    """Compared with a lossless copy, which is always decoded at full size."""
    large = Image.fromarray(load_sample_images().images[0])
    sizes = {"x.jpeg": {"quality": 98}, "x.png": {}}
    jpeg, png = (only(tmp_path / name, large, name, **how) for name, how in sizes.items())
    assert np.abs(jpeg - png).mean() < 1


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", lambda whole: b"no image"]
)
def test_a_damaged_file_is_named(folder, damage):
    path = folder / "train" / "cat" / "a.jpeg"
    path.write_bytes(damage(path.read_bytes()))
    images = ImageFolder(str(folder)).load().train
    with pytest.raises(ValueError, match=r"cat/a\.jpeg cannot be read as an image .*copy it again"):
        images.read(0, None)


def remove(path):
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (
            lambda folder: (folder / "val").rename(folder / "test"),
            FileNotFoundError,
            r"needs a folder .*/val .*holds test, train\..*as train and test",
        ),
        (
            lambda folder: [remove(folder / "val" / name) for name in ("cat", "dog")],
            ValueError,
            r"needs in .*/val a folder of images for each class, found 0 files",
        ),
        (
            lambda folder: remove(folder / "val" / "dog"),
            ValueError,
            r"/val lacks 1 of .*: dog; add",
        ),
        (lambda folder: (folder / "val" / "cow").mkdir(), ValueError, r"/train lacks 1 of .*: cow"),
        (
            lambda folder: (folder / "val" / "dog" / "z.JPG").rename(folder / "val" / "dog" / "z"),
            ValueError,
            r"needs images in .*/val/dog, found 1 other entries; expected names that end in",
        ),
    ],
)
def test_unsuitable_folders_are_refused(folder, damage, error, message):
    damage(folder)
    with pytest.raises(error, match=message):
        ImageFolder(str(folder)).load()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist either"):
        ImageFolder(str(tmp_path / "nowhere")).load()


def test_a_missing_pillow_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        ImportError, match=r"needs PIL, .* \[images\] brings: pip install 'jaxsched\[images\]'"
    ):
        ImageFolder(str(folder)).load()


def test_a_size_that_is_none_is_refused():
    with pytest.raises(ValueError, match="image_size of at least 1, got 0"):
        ImageFolder("here", image_size=0)
