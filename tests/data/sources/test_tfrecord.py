"""TFRecord files that TensorFlow wrote (record_tfrecord.py), and files of a writer of our own."""

import gzip
import io
import pathlib
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxsched.data import StreamedTfds, Tfds
from jaxsched.data.sources.tfrecord_files import FilePart, TfRecords
from jaxsched.train.checkpointing.orbax_io import read_manifest, saved_steps

tfds = pytest.importorskip("tensorflow_datasets")
tfds.disable_progress_bar()

RECORDED = pathlib.Path(__file__).with_name("tfrecord")


def crc32c(content):
    """Bit by bit, from the polynomial."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def framed(content):
    """A record of a TFRecord file, as TensorFlow's record_writer.h describes it."""

    def masked(part):
        crc = crc32c(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


class SmallScans(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The recorded set."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # where TFDS would look for checksums of downloads; there are none

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(names=list("ABCDEFGHIJ")),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
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


@pytest.fixture(scope="module")
def array_records(tmp_path_factory):
    """The folder of the same set, prepared in TFDS's other format."""
    folder = tmp_path_factory.mktemp("array_records")
    config = tfds.download.DownloadConfig(num_shards=4)
    builder = SmallScans(data_dir=folder, file_format="array_record")
    builder.download_and_prepare(download_config=config)
    return str(folder)


@pytest.fixture
def copied(tmp_path):
    """The folder of a copy of the recorded set."""
    shutil.copytree(RECORDED / "small_scans", tmp_path / "small_scans")
    return tmp_path / "small_scans" / "1.0.0"


def first(copied):
    return copied / "small_scans-train.tfrecord-00000-of-00004"


def whole(split, folder):
    """Images and labels of a split."""
    train = Tfds("small_scans", str(folder), train_split=split).load().train
    return train.images, train.labels


def streamed(split, folder):
    source = StreamedTfds("small_scans", str(folder), split, image_size=8, crop=None)
    train = source.load().train
    return map(np.stack, zip(*(train.read(n, None) for n in range(len(train))), strict=True))


@pytest.mark.parametrize("read", [whole, streamed])
@pytest.mark.parametrize("split", ["train", "test", "train[3:17]", "train[:40%]", "train[-1:]"])
def test_a_set_in_tensorflows_own_files_is_the_one_in_array_records(array_records, read, split):
    for ours, theirs in zip(read(split, RECORDED), read(split, array_records), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_recorded_scans_are_those_of_scikit_learn():
    images, labels = whole("train", RECORDED)
    scans = load_digits()
    wanted = sorted((scans.images[n] * 15).astype(np.uint8).tobytes() for n in range(21))
    assert sorted(image.tobytes() for image in images) == wanted
    assert sorted(labels) == sorted(scans.target[:21])


def test_a_fingerprint_is_of_the_set_and_its_files(copied):
    def fingerprints(folder):
        data = StreamedTfds("small_scans", str(folder), image_size=8).load()
        return data.train.fingerprint(), Tfds("small_scans", str(folder)).load().train.fingerprint()

    before = fingerprints(RECORDED)
    assert fingerprints(copied.parents[1]) == before
    content = first(copied).read_bytes()
    first(copied).write_bytes(gzip.compress(content))
    streamed_after, whole_after = fingerprints(copied.parents[1])
    assert streamed_after != before[0]  # another file
    assert whole_after == before[1]  # the same pixels


def folders_for_copies():
    return set(pathlib.Path(tempfile.gettempdir()).glob("*-tfrecord"))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_compressed_files_hold_the_same(copied, monkeypatch, suffix, assert_workers_read_the_same):
    monkeypatch.setattr(tempfile, "tempdir", str(copied.parents[1]))
    # One by TensorFlow, one in two parts, as `cat` joins them, one that is not compressed.
    theirs = gzip.decompress((RECORDED / "compressed").read_bytes())
    assert theirs == first(copied).read_bytes()
    first(copied).unlink()
    shutil.copy(RECORDED / "compressed", f"{first(copied)}{suffix}")
    second = copied / first(copied).name.replace("00000-of", "00001-of")
    content = second.read_bytes()
    second.unlink()
    parts = gzip.compress(content[:100]) + gzip.compress(content[100:])
    pathlib.Path(f"{second}{suffix}").write_bytes(parts)
    for read in (whole, streamed):
        for split in ("train", "train[2:12]"):
            for ours, wanted in zip(
                read(split, copied.parents[1]), read(split, RECORDED), strict=True
            ):
                np.testing.assert_array_equal(ours, wanted)
    assert not folders_for_copies()
    train = StreamedTfds("small_scans", str(copied.parents[1]), image_size=8).load().train
    assert len(folders_for_copies()) == 1
    if suffix:
        assert_workers_read_the_same(train, count=20, batch_size=10)
    del train
    assert not folders_for_copies()


@pytest.mark.parametrize("content", [b"", b"no more than this", None])
def test_a_compressed_file_that_is_damaged_is_named(copied, content):
    compressed = (RECORDED / "compressed").read_bytes()
    first(copied).write_bytes(compressed[:10] + content if content else compressed[:-9])
    with pytest.raises(
        ValueError, match=rf"'train', in .*: {first(copied).name} cannot be decompressed"
    ):
        whole("train", copied.parents[1])


def test_no_room_for_a_decompressed_copy_says_what_to_do(copied):
    shutil.copy(RECORDED / "compressed", first(copied))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(OSError, match=r"a decompressed copy; make room for it, set TMPDIR"):
            whole("train", copied.parents[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def write(path, lengths, seed=0):
    """Writes records of these lengths and returns their contents."""
    random = np.random.default_rng(seed)
    contents = [random.bytes(length) for length in lengths]
    path.write_bytes(b"".join(map(framed, contents)))
    return contents


def records(path, skip, take, total):
    return TfRecords([FilePart(path, skip, take, total)])


def test_records_of_any_length_are_read_by_number(tmp_path):
    """0x8B1F bytes are a length that begins as gzip does."""
    lengths = (0x8B1F, 0, 1, 300, 7)
    one, other = tmp_path / "one", tmp_path / "other"
    contents = write(one, lengths), write(other, lengths[:2], seed=1)
    found = TfRecords([FilePart(one, 1, 3, 5), FilePart(other, 0, 2, 2)])
    wanted = [*contents[0][1:4], *contents[1]]
    assert [found[number] for number in range(len(found))] == wanted
    sent = pickle.loads(pickle.dumps(found))
    assert [sent[number] for number in (4, 0, 3)] == [wanted[4], wanted[0], wanted[3]]


def read_all(path, total):
    found = records(path, 0, total, total)
    return [found[number] for number in range(total)]


def test_a_flipped_bit_anywhere_is_refused_and_its_record_named(tmp_path):
    path = tmp_path / "scans"
    lengths = (60, 0, 33)
    write(path, lengths)
    good, starts = path.read_bytes(), np.cumsum([0, 76, 16])
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        record = np.searchsorted(starts, place, "right") - 1
        with pytest.raises(ValueError, match=f"scans, record {record} is damaged: its "):
            read_all(path, 3)


def test_a_file_cut_anywhere_is_refused_and_one_that_is_longer_too(tmp_path):
    path = tmp_path / "scans"
    write(path, (60, 0, 33))
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        last = 0 if size < 76 else 1 if size < 92 else 2
        cut = f"scans, record {last} is cut short|scans has {last} records, expected 3"
        with pytest.raises(ValueError, match=cut):
            read_all(path, 3)
    for more, message in ((framed(b"one"), "has 4 records, expected 3"), (b"?", "record 3 is cut")):
        path.write_bytes(good + more)
        with pytest.raises(ValueError, match=message):
            read_all(path, 3)


def test_a_file_that_is_exchanged_later_is_refused(tmp_path):
    path = tmp_path / "scans"
    write(path, (60, 10))
    found = records(path, 0, 2, 2)
    for lengths in ((10, 60), (61, 9), (60,)):
        write(path, lengths)
        with pytest.raises(ValueError, match=r"scans, record [01] (is|has)"):
            _ = found[0], found[1]


def test_the_set_and_the_file_are_named(copied):
    content = bytearray(first(copied).read_bytes())
    content[400] ^= 1  # in the third of five records
    first(copied).write_bytes(content)
    folder = str(copied.parents[1])
    damaged = rf"'train', in .*: example 2 .*{first(copied).name}, record 2 is damaged"
    with pytest.raises(ValueError, match=damaged):
        Tfds("small_scans", folder).load()
    assert len(Tfds("small_scans", folder, train_split="train[3:]").load().train) == 18
    first(copied).write_bytes(content[:400])
    with pytest.raises(ValueError, match=r"record 2 is cut short: .*prepare or copy the set again"):
        Tfds("small_scans", folder).load()
    first(copied).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 4 files are missing, such as small_scans-t"):
        Tfds("small_scans", folder).load()


def test_the_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxsched.data.sources.tfrecord_files")
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(ImportError, match=r"small_scans/1\.0\.0 needs google_crc32c.*\[tfds\]"):
        Tfds("small_scans", str(RECORDED)).load()


CONFIG = """
import jaxsched as js
from jaxsched.data import StreamedTfds
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="scans",
    task=ImageClassification(
        ResNet(stages=(1,), width=4), StreamedTfds("small_scans", FOLDER, image_size=8)
    ),
    phases=(js.Phase(60, 4),),  # 4 is no divisor of 21
    optimizer=js.SGD(js.Cosine(0.1, duration=60), momentum=0.9),
    num_devices=1,
)
"""


def start_training(folder, workdir, *arguments):
    command = [sys.executable, "-c", "from jaxsched.cli import main; main()", "train"]
    options = ["--workdir", str(folder / workdir), "--checkpoint-minutes", "0.002", *arguments]
    return subprocess.Popen([*command, str(folder / "scans.py"), *options])


def saved(folder, workdir):
    return [step for run in (folder / workdir).glob("scans-*/") for step in saved_steps(run)]


@pytest.mark.slow
def test_a_streamed_run_that_is_killed_goes_on_bit_for_bit(copied):
    """A compressed file is among those it reads."""
    folder = copied.parents[1]
    shutil.copy(RECORDED / "compressed", first(copied))
    (folder / "scans.py").write_text(CONFIG.replace("FOLDER", repr(str(folder))))
    assert start_training(folder, "whole").wait(timeout=300) == 0
    process = start_training(folder, "killed")
    while max(saved(folder, "killed"), default=0) < 50:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert max(saved(folder, "killed")) < 315  # 60 · 21 / 4
    assert start_training(folder, "killed", "--resume").wait(timeout=300) == 0
    ends = []
    for workdir in ("whole", "killed"):
        (run,) = (folder / workdir).glob("scans-*/")
        ends.append(read_manifest(run / "315")["crc32"])
    assert ends[0] == ends[1]
