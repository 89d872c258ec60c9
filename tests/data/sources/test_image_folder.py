"""Folders of image files of every kind, written by Pillow."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from jaxsched.data import (
    Examples,
    ImageDataset,
    ImageFolder,
    RandomResizedCrop,
    Streamed,
    Subset,
)
from jaxsched.experiment import describe

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
    (folder / "train" / ".cache").mkdir()
    dataset = ImageFolder(str(folder), image_size=32).load()
    assert isinstance(dataset, ImageDataset)
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


def test_it_is_described_without_its_files_as_it_is_with_them(folder):
    loaded = ImageFolder(str(folder), image_size=32).load()
    known = ImageFolder("/nowhere", image_size=32, num_train=6, num_classes=2)
    described = known.described()
    assert described.train.elements == loaded.train.elements == described.test.elements
    assert len(described.train) == len(loaded.train)
    assert described.num_classes == loaded.num_classes
    assert not isinstance(described.train, Examples)  # it is streamed
    assert len(known.described(num_train=4).train) == 4
    # A subset, and what is streamed anyway, are described by their source.
    assert len(Subset(known, 5).described().train) == 5
    assert Streamed(known).described().train == described.train
    # Without the numbers it is not known, and wrong ones are refused.
    assert ImageFolder("/nowhere", num_classes=2).described() is None
    assert ImageFolder("/nowhere", num_train=6).described() is None
    assert "num_classes" not in describe(ImageFolder(str(folder)))
    with pytest.raises(ValueError, match=r"needs 1,000 classes in .*train, .* found 2; complete"):
        ImageFolder(str(folder), num_classes=1000).load()


def test_an_incomplete_copy_is_refused(folder):
    source = ImageFolder(str(folder), num_train=6)
    assert source.known_num_train == 6 == len(source.load().train)
    assert ImageFolder(str(folder)).known_num_train is None
    assert "num_train" not in describe(ImageFolder(str(folder)))
    with pytest.raises(
        ValueError, match=r"needs 1,281,167 images in .*train, .* found 6; complete"
    ):
        ImageFolder(str(folder), num_train=1_281_167).load()


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


# How an image is stored, by the EXIF standard: its first row and first column are these sides.
STORED = {
    1: lambda image: image,  # top, left
    2: lambda image: image[:, ::-1],  # top, right
    3: lambda image: image[::-1, ::-1],  # bottom, right
    4: lambda image: image[::-1],  # bottom, left
    5: lambda image: image.swapaxes(0, 1),  # left, top
    6: lambda image: image[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda image: image[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
def test_images_are_upright_in_every_format(tmp_path, orientation):
    """A TIFF turns itself as it is decoded; a large JPEG is decoded smaller."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, factor, tolerance in (
        ("x.tiff", 1, 1),
        ("x.png", 1, 1),
        ("x.webp", 1, 8),
        ("x.jpeg", 1, 1),
        ("x.jpeg", 4, 6),
    ):
        upright = PHOTO.resize((120 * factor, 90 * factor))
        stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(upright))))
        got = only(tmp_path / f"{factor}{name}", stored, name, quality=100, exif=exif)
        assert np.abs(got - centre(upright)).mean() <= tolerance, name


def test_a_malformed_tag_beside_the_orientation_is_no_damage(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 3, 72.0
    image = PHOTO.rotate(180)
    image.save(tmp_path / "whole.jpeg", quality=100, exif=exif)
    content = (tmp_path / "whole.jpeg").read_bytes()
    entry = content.index(b"\x01\x1a\x00\x05")  # the resolution, a fraction
    (tmp_path / "odd").mkdir()
    only(tmp_path / "odd", image, "x.jpeg")
    for split in ("train", "val"):
        path = tmp_path / "odd" / split / "c" / "x.jpeg"
        path.write_bytes(content[: entry + 3] + b"\x02" + content[entry + 4 :])  # is text now
    images = ImageFolder(str(tmp_path / "odd"), image_size=30, crop=None).load().train
    assert np.abs(images.read(0, None)[0].astype(int) - centre(PHOTO)).mean() <= 1


def gradient(deepest):
    """A grey ramp from 0 to `deepest`, and the same in 8 bits as RGB."""
    ramp = np.tile(np.linspace(0, 1, 120), (90, 1))
    grey = Image.fromarray(np.floor(ramp * 255.999).astype(np.uint8))
    return np.rint(ramp * deepest), grey.convert("RGB")


def write_tiff(path, samples, **tags):
    """One strip of samples as they are, as the TIFF standard says."""
    height, width = samples.shape
    entries = {256: width, 257: height, 259: 1, 277: 1, 278: height}
    entries |= {int(tag[1:]): value for tag, value in tags.items()}
    if entries[258] == 12:  # two samples in three bytes
        first, second = samples[:, ::2].astype(int), samples[:, 1::2].astype(int)
        three = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
        content = np.stack(three, -1).astype(np.uint8).tobytes()
    else:
        content = samples.tobytes()
    entries[279] = len(content)
    entries[273] = 8 + 2 + 12 * (len(entries) + 1) + 4
    written = struct.pack("<4sIH", b"II*\0", 8, len(entries))
    for tag, value in sorted(entries.items()):
        written += struct.pack("<HHII", tag, 4, 1, value)
    path.parent.mkdir(parents=True)
    path.write_bytes(written + bytes(4) + content)


@pytest.mark.parametrize(
    ("bits", "photometric"), [(16, 1), (12, 1), (16, 0)], ids=["16", "12", "white is zero"]
)
def test_deep_tiffs_are_scaled_to_8_bits(tmp_path, bits, photometric):
    deep, expected = gradient(2**bits - 1)
    stored = (deep if photometric else 2**bits - 1 - deep).astype(np.uint16)
    for split in ("train", "val"):
        write_tiff(tmp_path / split / "c" / "x.tif", stored, _258=bits, _262=photometric)
    images = ImageFolder(str(tmp_path), image_size=30, crop=None).load().train
    assert np.abs(images.read(0, None)[0].astype(int) - centre(expected)).max() <= 1


@pytest.mark.parametrize("suffix", ["pgm", "jp2"])
def test_other_deep_images_are_scaled_to_8_bits(tmp_path, suffix):
    deep, expected = gradient(65535)
    got = only(tmp_path, Image.fromarray(deep.astype(np.uint16)), f"x.{suffix}")
    assert np.abs(got - centre(expected)).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "suffix", "kind"),
    [
        (np.float32, "tiff", "floats"),
        (np.int32, "tiff", "signed or 32-bit integers"),
        (np.float32, "pfm", "floats"),
    ],
)
def test_samples_of_unknown_range_are_refused_and_never_black(tmp_path, dtype, suffix, kind):
    image = Image.fromarray(gradient(1)[0].astype(dtype))
    with pytest.raises(ValueError, match=rf"x\.{suffix} is not read: its samples are {kind}"):
        only(tmp_path, image, f"x.{suffix}")


def test_more_pixels_than_pillow_trusts_are_no_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    with pytest.raises(ValueError, match=r"If you trust it, set PIL\.Image\.MAX_IMAGE_PIXELS"):
        only(tmp_path, PHOTO)


def test_a_palette_with_several_transparent_colours(tmp_path):
    got = only(tmp_path, PHOTO.quantize(), transparency=bytes(range(100)))
    assert np.abs(got - centre(PHOTO.quantize().convert("RGB"))).max() <= 1


def test_every_format_of_pillow_and_folders_below_a_class_are_read(tmp_path):
    """In the order of their paths, by the grey value of each."""
    names = ["a/deep/er/x.avif", "a/x.jfif", "b.jpe", "c.jp2", "d.pgm", "e.PNM", "f.tga", "g.qoi"]
    for split in ("train", "val"):
        for number, name in enumerate(names):
            path = tmp_path / split / "c" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = 30 * number
            mode = "L" if path.suffix == ".pgm" else "RGB"
            image = Image.new(mode, (8, 8), colour if mode == "L" else (colour,) * 3)
            image.save(path, format="PPM" if path.suffix == ".PNM" else None)
    images = ImageFolder(str(tmp_path), image_size=4, crop=None).load().train
    seen = [int(images.read(number, None)[0].mean()) for number in range(len(images))]
    np.testing.assert_allclose(seen, 30 * np.arange(len(names)), atol=2)


def test_what_is_skipped_is_counted_and_named(folder):
    for name in ("notes.txt", "more.txt", "Thumbs.db", "noise.h5", "film.mpg"):
        (folder / "train" / "cat" / name).write_text("no image")
    PHOTO.save(folder / "train" / "astray.png")
    with pytest.warns(
        UserWarning,
        match=r"skipped 6 of 12 files in .*/train, .*: 2 \.txt \(such as cat/more\.txt\), "
        r"1 \.png \(such as astray\.png\), 1 \.db ",
    ):
        assert len(ImageFolder(str(folder)).load().train) == 6


def test_a_class_without_images_where_that_is_allowed(folder):
    remove(folder / "val" / "cat")
    (folder / "val" / "dog" / "z.JPG").unlink()
    (folder / "val" / "dog" / "z.png").write_bytes((folder / "train/cat/c.png").read_bytes())
    remove(folder / "train" / "dog")
    (folder / "train" / "dog").mkdir()
    dataset = ImageFolder(str(folder), image_size=8, allow_empty=True).load()
    assert dataset.class_names == ("cat", "dog")
    assert [int(dataset.train.read(i, None)[1]) for i in range(len(dataset.train))] == [0, 0, 0]
    assert [int(dataset.test.read(i, None)[1]) for i in range(len(dataset.test))] == [1]
    (folder / "val" / "dog" / "z.png").unlink()
    with pytest.raises(ValueError, match=r"at least one image in .*/val, found none"):
        ImageFolder(str(folder), allow_empty=True).load()


def test_a_link_that_leads_back_is_refused(folder):
    (folder / "train" / "cat" / "again").symlink_to(folder / "train", target_is_directory=True)
    with pytest.raises(ValueError, match=r"cat/again is a link to .*/train, which holds it"):
        ImageFolder(str(folder)).load()


def test_folders_of_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    source = ImageFolder(f"~/{folder.name}", test=f"~/{folder.name}/val")
    assert len(source.load().test) == 2
    assert ImageFolder(folder) == ImageFolder(str(folder))  # a path becomes its text
    with pytest.raises(ValueError, match="nobody_at_all"):
        ImageFolder("~nobody_at_all/data").load()


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
            r"needs images in .*/val/dog, found 1 other files; expected names .*allow_empty=True",
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


def test_a_file_that_is_gone_is_no_damage(folder):
    images = ImageFolder(str(folder)).load().train
    (folder / "train" / "cat" / "a.jpeg").unlink()
    with pytest.raises(ValueError, match=r"a\.jpeg cannot be opened \(No such file"):
        images.read(0, None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folder": 5}, "folder as the path of a folder, .*got folder=5"),
        ({"folder": ""}, "got folder=''"),
        ({"train": None}, "got train=None"),
        ({"image_size": 0}, "image_size as a whole number of at least 1, got image_size=0"),
        ({"image_size": 22.5}, "got image_size=22.5"),
        ({"image_size": True}, "got image_size=True"),
        ({"crop": 0.5}, "crop as a RandomResizedCrop or None, got crop=0.5"),
        ({"mean": (0.5,)}, r"mean as 3 numbers, got mean=\(0.5,\)"),
        ({"mean": 0.5}, "mean as 3 numbers"),
        ({"std": (0.2, 0.2, float("nan"))}, "std as 3 numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "each std above 0"),
        ({"allow_empty": "yes"}, "allow_empty as True or False, got allow_empty='yes'"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder(**({"folder": "here"} | fields))


def test_the_digest_of_an_older_experiment_stays():
    described = describe(ImageFolder("here"))
    assert "allow_empty" not in described
    assert describe(ImageFolder("here", allow_empty=True)) == described | {"allow_empty": True}
