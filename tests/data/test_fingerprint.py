"""The fingerprint: it changes with the data, not with the place where they lie."""

import shutil
import time

import numpy as np
import pytest
from PIL import Image

from jaxsched.data import Digits, ImageFolder, Images, Streamed, StreamedImages, Subset


def images(count=20, seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 4, count).astype(np.int32)
    return Images(draw.integers(0, 256, (count, 4, 4, 3), np.uint8), labels)


def changed(where):
    found = images()
    pixels, labels = found.images.copy(), found.labels.copy()
    if where == "pixel":
        pixels[7, 1, 2, 0] ^= 1
    elif where == "label":
        labels[7] = (labels[7] + 1) % 4
    elif where == "order":
        pixels, labels = pixels[::-1], labels[::-1]
    else:
        pixels, labels = pixels[:-1], labels[:-1]
    return Images(pixels, labels)


@pytest.mark.parametrize("where", ["pixel", "label", "order", "count"])
def test_any_change_of_arrays_changes_it(where):
    assert images().fingerprint() == images().fingerprint()
    assert changed(where).fingerprint() != images().fingerprint()


def test_a_set_of_the_size_of_cifar_takes_a_moment():
    whole = Images(np.zeros((60_000, 32, 32, 3), np.uint8), np.zeros(60_000, np.int32))
    start = time.process_time()
    whole.fingerprint()
    assert time.process_time() - start < 0.5


def test_streaming_changes_nothing_and_a_subset_does():
    digits = Digits().load().fingerprint
    assert digits["classes"] == 10 and digits["train"]["examples"] == 1493
    assert Streamed(Digits()).load().fingerprint == digits
    assert Subset(Digits(), 500).load().fingerprint != digits
    part = Subset(Streamed(Digits()), 500).load().fingerprint
    assert part["train"]["examples"] == 500 and part["test"] == digits["test"]


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for kind in ("cat", "dog"):
            path = tmp_path / "animals" / split / kind
            path.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(path / f"{number}.png")
    return tmp_path / "animals"


def of(folder):
    return ImageFolder(str(folder), image_size=8).load().fingerprint


def test_files_are_told_by_name_and_size_wherever_they_lie(folder):
    before = of(folder)
    assert before["train"]["examples"] == 10 and before["test"]["examples"] == 4
    moved = folder.with_name("moved")
    shutil.copytree(folder, moved)
    assert of(moved) == before

    file = moved / "train" / "dog" / "3.png"
    content = file.read_bytes()
    file.unlink()
    assert of(moved)["train"]["examples"] == 9 and of(moved)["test"] == before["test"]
    file.with_name("5.png").write_bytes(content)  # as many files, of the same sizes
    assert of(moved)["train"] != before["train"]
    file.with_name("5.png").rename(file)
    assert of(moved) == before
    file.write_bytes(content + b"\0")
    assert of(moved)["train"] != before["train"]


class Counted(StreamedImages):
    """A split of a user's, which says no more of itself than it has to."""

    def __len__(self):
        return 7

    @property
    def image_shape(self):
        return (4, 4, 1)


def test_a_split_of_a_users_own_is_told_by_its_number():
    assert Counted().fingerprint() == {"examples": 7, "shape": [4, 4, 1]}
