"""Files are written here byte by byte, as the CIFAR page describes them, and read back."""

import dataclasses
import hashlib
import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from jaxsched.data import Cifar10, Cifar100, Examples
from jaxsched.data.sources import cifar_files

TRAIN10 = [f"data_batch_{number}" for number in (1, 2, 3, 4, 5)]
IN_TRAIN_FILE, IN_TEST_FILE = 12, 10


def pixel(number, row, column, channel):
    """What image `number` shows there: different for each image, place and channel."""
    return (37 * number + 5 * row + 11 * column + 71 * channel) % 256


def planes(number):
    """1,024 red, 1,024 green, 1,024 blue values, row by row."""
    grid = np.arange(32)
    return b"".join(
        pixel(number, grid[:, None], grid[None, :], channel).astype(np.uint8).tobytes()
        for channel in range(3)
    )


def numbers10():
    """(file, numbers of the images in it)."""
    for place, name in enumerate(TRAIN10):
        yield name, range(place * IN_TRAIN_FILE, (place + 1) * IN_TRAIN_FILE)
    yield "test_batch", range(100, 100 + IN_TEST_FILE)


def numbers100():
    yield "train", range(3 * IN_TRAIN_FILE)
    yield "test", range(100, 100 + IN_TEST_FILE)


def write_binary10(folder):
    for name, numbers in numbers10():
        examples = [bytes([number % 10]) + planes(number) for number in numbers]
        (folder / f"{name}.bin").write_bytes(b"".join(examples))


def write_binary100(folder):
    for name, numbers in numbers100():
        examples = [bytes([number % 20, number * 7 % 100]) + planes(number) for number in numbers]
        (folder / f"{name}.bin").write_bytes(b"".join(examples))


def python2(value):
    """`value` pickled as Python 2 and its NumPy did, which wrote the official files."""
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode("latin1")
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, dict):
        items = (python2(key) + python2(item) for key, item in value.items())
        return b"}(" + b"".join(items) + b"u"
    assert isinstance(value, np.ndarray) and value.dtype == np.uint8
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n"
    empty = reconstruct + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    minus_one = python2(-1)
    state = b"(K\x03U\x01|NNN" + minus_one + minus_one + b"K\x00t"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R" + state + b"b"
    shape = b"(" + b"".join(map(python2, value.shape)) + b"t"
    content = python2(value.tobytes().decode("latin1"))
    return empty + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def as_python2(batch):
    return b"\x80\x02" + python2(batch) + b"."


def as_python3(batch):
    """The same as a Python 3 script would write it again, keys as bytes."""
    return pickle.dumps({key.encode(): value for key, value in batch.items()}, protocol=4)


def with_numpy_labels(protocol):
    """A writer of a script that made NumPy numbers of the labels, in one of pickle's protocols."""

    def dumps(batch):
        lists = {key: value for key, value in batch.items() if key.endswith("labels")}
        numbers = {key: [np.int64(label) for label in labels] for key, labels in lists.items()}
        return pickle.dumps(batch | numbers, protocol)

    return dumps


def batch_of(numbers, label_key, label_of):
    data = np.frombuffer(b"".join(map(planes, numbers)), np.uint8).reshape(len(numbers), 3072)
    labels = [label_of(number) for number in numbers]
    return {"batch_label": "some batch", label_key: labels, "data": data, "filenames": ["a.png"]}


def write_python10(folder, dumps=as_python2):
    for name, numbers in numbers10():
        batch = batch_of(numbers, "labels", lambda number: number % 10)
        (folder / name).write_bytes(dumps(batch))


def write_python100(folder, dumps=as_python2):
    for name, numbers in numbers100():
        batch = batch_of(numbers, "fine_labels", lambda number: number * 7 % 100)
        batch["coarse_labels"] = [number % 20 for number in numbers]
        (folder / name).write_bytes(dumps(batch))


def md5_sums(write, folder, suffix):
    folder.mkdir()
    write(folder)
    return {
        path.name.removesuffix(suffix): hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    """The official archives in everything but their length, and so in their sums."""
    small, folder = {}, tmp_path_factory.mktemp("official")
    for source, files, binary, python in (
        (Cifar10, 1, write_binary10, write_python10),
        (Cifar100, 3, write_binary100, write_python100),
    ):
        name = source.__name__
        small[source] = dataclasses.replace(
            source._archive,
            images_per_train_file=files * IN_TRAIN_FILE,
            images_per_test_file=IN_TEST_FILE,
            binary_md5=md5_sums(binary, folder / f"{name}.bin", ".bin"),
            python_md5=md5_sums(python, folder / name, ""),
        )
    return small


@pytest.fixture(autouse=True)
def _small_files(monkeypatch, small_files):
    for source, archive in small_files.items():
        monkeypatch.setattr(source, "_archive", archive)


def assert_is(split, numbers, label_of):
    grid = np.arange(32)
    numbers = np.array(numbers)
    wanted = pixel(
        numbers[:, None, None, None],
        grid[None, :, None, None],
        grid[None, None, :, None],
        np.arange(3)[None, None, None, :],
    )
    assert split.images.dtype == np.uint8 and split.images.flags.c_contiguous
    np.testing.assert_array_equal(split.images, wanted)
    assert split.labels.dtype == np.int32
    np.testing.assert_array_equal(split.labels, [label_of(number) for number in numbers])


WRITERS10 = {
    "binary": write_binary10,
    "python 2": write_python10,
    "python 3": lambda folder: write_python10(folder, as_python3),
}
WRITERS100 = {
    "binary": write_binary100,
    "python 2": write_python100,
    "python 3": lambda folder: write_python100(folder, as_python3),
}


@pytest.mark.parametrize("layout", WRITERS10)
def test_cifar10_reads_back_what_was_written(tmp_path, layout):
    WRITERS10[layout](tmp_path)
    dataset = Cifar10(str(tmp_path)).load()
    assert_is(dataset.train, range(60), lambda number: number % 10)
    assert_is(dataset.test, range(100, 110), lambda number: number % 10)
    assert (dataset.name, dataset.num_classes, dataset.evaluated_on) == ("CIFAR-10", 10, "test")
    assert dataset.class_names[0] == "airplane" and dataset.class_names[9] == "truck"
    assert dataset.mean == (0.4914, 0.4822, 0.4465)


@pytest.mark.parametrize("layout", WRITERS100)
def test_cifar100_reads_back_the_fine_labels(tmp_path, layout):
    WRITERS100[layout](tmp_path)
    dataset = Cifar100(str(tmp_path)).load()
    assert_is(dataset.train, range(36), lambda number: number * 7 % 100)
    assert_is(dataset.test, range(100, 110), lambda number: number * 7 % 100)
    assert (dataset.name, dataset.num_classes, len(set(dataset.class_names))) == (
        "CIFAR-100",
        100,
        100,
    )


@pytest.mark.parametrize(
    ("source", "sub_folder", "write"),
    [
        (Cifar10, "cifar-10-batches-bin", write_binary10),
        (Cifar10, "cifar-10-batches-py", write_python10),
        (Cifar100, "cifar-100-binary", write_binary100),
        (Cifar100, "cifar-100-python", write_python100),
    ],
)
def test_the_archives_own_folder_is_looked_into(tmp_path, source, sub_folder, write, monkeypatch):
    (tmp_path / sub_folder).mkdir()
    write(tmp_path / sub_folder)
    assert len(source(str(tmp_path)).load().test) == IN_TEST_FILE
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert len(source(f"~/{tmp_path.name}").load().test) == IN_TEST_FILE


def test_the_first_complete_layout_is_read_binary_before_python(tmp_path):
    write_binary10(tmp_path)
    write_python10(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(b"never read")
    assert len(Cifar10(str(tmp_path)).load().train) == 60
    write_python10(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    assert len(Cifar10(str(tmp_path)).load().train) == 60


def test_a_validation_share_is_held_out_of_the_training_files(tmp_path):
    write_binary10(tmp_path)
    dataset = Cifar10(str(tmp_path), validation=0.5).load()
    assert dataset.evaluated_on == "validation"
    assert_is(dataset.train, range(30), lambda number: number % 10)
    assert_is(dataset.test, range(30, 60), lambda number: number % 10)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_it_is_described_without_its_files_as_it_is_with_them(tmp_path, share):
    write_binary10(tmp_path)
    loaded = Cifar10(str(tmp_path), validation=share).load()
    described = Cifar10("/nowhere", validation=share).described()
    for name in ("name", "evaluated_on", "class_names", "mean", "std"):
        assert getattr(described, name) == getattr(loaded, name)
    for split in ("train", "test"):
        shapes, images = getattr(described, split), getattr(loaded, split)
        assert isinstance(shapes, Examples) and shapes.elements == images.elements
        assert len(shapes) == len(images)
        assert [array.shape for array in shapes.arrays] == [a.shape for a in images.arrays]


def test_files_of_the_official_length(tmp_path, monkeypatch):
    monkeypatch.undo()  # no small files
    for name in [*TRAIN10, "test_batch"]:
        with open(tmp_path / f"{name}.bin", "wb") as file:
            file.truncate(30_730_000)  # as the CIFAR page says; zeros take no room on disk
            file.seek(3073 * 9_999)
            file.write(b"\x07" + planes(5))
    with pytest.warns(
        UserWarning,
        match=r"CIFAR-10 in .* has other contents than the official files, by their MD5 sums: "
        r"data_batch_1\.bin, .*test_batch\.bin\. Results on it are not those of CIFAR-10",
    ) as caught:
        dataset = Cifar10(str(tmp_path)).load()
    assert len(caught) == 1
    assert (len(dataset.train), len(dataset.test)) == (50_000, 10_000)
    assert np.flatnonzero(dataset.train.labels).tolist() == [9_999, 19_999, 29_999, 39_999, 49_999]
    assert dataset.test.images[-1, 3, 2, 1] == pixel(5, 3, 2, 1)


def change(path, place, content):
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(content)


def rewrite(path, **changes):
    """The Python batch in `path` with other entries; None takes one out."""
    batch = batch_of(range(IN_TRAIN_FILE), "labels", lambda number: number % 10) | changes
    plain = {key: value for key, value in batch.items() if value is not None}
    path.write_bytes(as_python2(plain))


@pytest.mark.parametrize("write", [write_binary10, write_python10])
def test_a_file_of_other_images_is_named_in_a_warning(tmp_path, write):
    """A single pixel differs, as one of a file that was compressed may; its length is official."""
    write(tmp_path)
    (path,) = tmp_path.glob("data_batch_3*")
    change(path, path.stat().st_size - 900, b"\x01\x02\x03")
    with pytest.warns(UserWarning, match=rf"by their MD5 sums: {path.name}\. "):
        assert len(Cifar10(str(tmp_path)).load().train) == 60


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_that_python_3_wrote_again_are_the_same_data_and_no_warning(tmp_path, protocol):
    write_python10(tmp_path, with_numpy_labels(protocol))
    assert_is(Cifar10(str(tmp_path)).load().train, range(60), lambda number: number % 10)
    write_python100(tmp_path, with_numpy_labels(protocol))
    dataset = Cifar100(str(tmp_path)).load()
    assert_is(dataset.train, range(36), lambda number: number * 7 % 100)


def test_the_official_sums_are_of_every_file():
    for archive in (Cifar10._archive, Cifar100._archive):
        for sums in (archive.binary_md5, archive.python_md5):
            assert set(sums) == {*archive.train, *archive.test}


@pytest.mark.parametrize("source", [Cifar10, Cifar100])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folder": 5}, "folder as the path of a folder, .*got folder=5"),
        ({"validation": "a tenth"}, "validation='a tenth'"),
        ({"validation": -0.1}, r"within \[0, 1\), got validation=-0.1"),
        ({"validation": float("nan")}, "validation=nan"),
        ({"validation": True}, "validation=True"),
    ],
)
def test_fields_that_make_no_sense_are_refused(source, fields, message):
    with pytest.raises(ValueError, match=message):
        source(**({"folder": "here"} | fields))


def test_files_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    write_binary10(tmp_path / "data")
    assert len(Cifar10("~/data").load().train) == 60


# (what to do to a folder with whole files, the error, words of its message)
BINARY_FAULTS = {
    "cut short": (
        lambda folder: os.truncate(folder / "data_batch_2.bin", 3073 * 11),
        ValueError,
        r"data_batch_2\.bin has 33,803 bytes; expected 36,876 .*unpack it again",
    ),
    "label": (
        lambda folder: change(folder / "test_batch.bin", 3073 * 4, b"\x0a"),
        ValueError,
        r"test_batch\.bin, example 4 .*has label 10; expected 0 \.\.\. 9.*1 of 10 examples",
    ),
    "missing": (
        lambda folder: (folder / "data_batch_4.bin").unlink(),
        FileNotFoundError,
        r"incomplete: data_batch_4\.bin missing",
    ),
    "empty": (
        lambda folder: [path.unlink() for path in folder.iterdir()],
        FileNotFoundError,
        r"which is empty\. Looked for data_batch_1\.bin \.\.\. test_batch\.bin in .*; "
        r"data_batch_1 \.\.\. test_batch in .*cifar-10-batches-py\. Give the folder",
    ),
    "other set": (
        lambda folder: [path.rename(folder / f"x{path.name}") for path in folder.iterdir()],
        FileNotFoundError,
        r"holds xdata_batch_1\.bin, xdata_batch_2\.bin",
    ),
    "packed": (
        lambda folder: [
            *[path.unlink() for path in folder.iterdir()],
            (folder / "cifar-10-binary.tar.gz").write_bytes(b""),
        ],
        FileNotFoundError,
        r"still packed; unpack it: tar -xf .*cifar-10-binary\.tar\.gz -C ",
    ),
    "no folder": (shutil.rmtree, FileNotFoundError, r"does not exist; give the one"),
    "a file": (
        lambda folder: [shutil.rmtree(folder), folder.write_bytes(b"")],
        NotADirectoryError,
        r"is a file; give the folder",
    ),
}

PYTHON_FAULTS = {
    "cut short": (
        lambda folder: os.truncate(folder / "data_batch_2", 20_000),
        ValueError,
        r"data_batch_2 is not a whole pickle",
    ),
    "noise": (
        lambda folder: (folder / "data_batch_1").write_bytes(b"\x80\x02garbage"),
        ValueError,
        r"data_batch_1 is not a whole pickle",
    ),
    "nothing": (
        lambda folder: (folder / "data_batch_1").write_bytes(b""),
        ValueError,
        r"data_batch_1 is not a whole pickle \(EOFError",
    ),
    "label": (
        lambda folder: rewrite(folder / "data_batch_5", labels=[0, 1, -1] + [0] * 9),
        ValueError,
        r"data_batch_5, example 2 .*has label -1; expected 0 \.\.\. 9",
    ),
    "list": (
        lambda folder: (folder / "test_batch").write_bytes(as_python2([1])),
        ValueError,
        r"test_batch holds a list; expected a dict",
    ),
    "no labels": (
        lambda folder: rewrite(folder / "data_batch_1", labels=None),
        ValueError,
        r"has no 'labels'; it has batch_label, data, filenames",
    ),
    "words": (
        lambda folder: rewrite(folder / "data_batch_1", labels=["cat"] * 12),
        ValueError,
        r"data_batch_1 has labels other than a list of 12 integers",
    ),
    "uneven labels": (
        lambda folder: rewrite(folder / "data_batch_1", labels=[[1], [1, 2]] * 6),
        ValueError,
        r"data_batch_1 has labels other than a list of 12 integers",
    ),
    "few labels": (
        lambda folder: rewrite(folder / "data_batch_1", labels=[1] * 11),
        ValueError,
        r"data_batch_1 has labels other than a list of 12 integers",
    ),
    "few images": (
        lambda folder: rewrite(folder / "data_batch_1", data=np.zeros((3, 3072), np.uint8)),
        ValueError,
        r"data of uint8\[3, 3072\]; expected uint8\[12, 3072\]",
    ),
    "no array": (
        lambda folder: rewrite(folder / "data_batch_1", data="pixels"),
        ValueError,
        r"data of str\[\]; expected uint8",
    ),
}


@pytest.mark.parametrize("fault", BINARY_FAULTS)
def test_faults_in_binary_files_are_named(tmp_path, fault):
    harm, error, message = BINARY_FAULTS[fault]
    folder = tmp_path / "files"
    folder.mkdir()
    write_binary10(folder)
    harm(folder)
    with pytest.raises(error, match=message) as caught:
        Cifar10(str(folder)).load()
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("fault", PYTHON_FAULTS)
def test_faults_in_python_files_are_named(tmp_path, fault):
    harm, error, message = PYTHON_FAULTS[fault]
    write_python10(tmp_path)
    harm(tmp_path)
    with pytest.raises(error, match=message) as caught:
        Cifar10(str(tmp_path)).load()
    assert str(tmp_path) in str(caught.value)


def test_a_cifar100_label_out_of_range(tmp_path):
    write_binary100(tmp_path)
    change(tmp_path / "train.bin", 3074 * 20 + 1, b"\x64")
    with pytest.raises(ValueError, match=r"train\.bin, example 20 .*label 100; expected 0 .* 99"):
        Cifar100(str(tmp_path)).load()


def test_the_other_sets_files_are_not_taken_for_ones_own(tmp_path):
    write_python100(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds test, train"):
        Cifar10(str(tmp_path)).load()


# Who runs the tests may be allowed to read everything, so the refusal itself is put in place.
def refuse(path, *args):
    raise PermissionError(13, "Permission denied", str(path))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    write_binary10(tmp_path)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError, match=r"may not be read .*chmod u\+r .*data_batch_1\.bin"):
        Cifar10(str(tmp_path)).load()


@pytest.mark.parametrize("closed", ["", "cifar-10-batches-py"])
def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch, closed):
    (tmp_path / "cifar-10-batches-py").mkdir()
    listdir = os.listdir

    def refuse_closed(path):
        return refuse(path) if Path(path) == tmp_path / closed else listdir(path)

    monkeypatch.setattr(cifar_files.os, "listdir", refuse_closed)
    with pytest.raises(PermissionError, match=rf"may not be read .*chmod u\+rx .*{closed}$"):
        Cifar10(str(tmp_path)).load()
