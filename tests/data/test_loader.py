"""Batches against the examples themselves, read by threads and by other processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from getpass import getuser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from jaxsched.data import (
    BatchReader,
    Digits,
    ReadWorkers,
    Streamed,
    StreamedImages,
    Subset,
    find_unreadable,
    loader,
)


class Numbers(StreamedImages):
    """Each image holds its example's index and a number drawn from its generator."""

    def __len__(self):
        return 1000

    @property
    def image_shape(self):
        return (1, 2, 1)

    def read(self, example, random):
        drawn = 0 if random is None else random.integers(256)
        return np.array([example % 256, drawn], np.uint8).reshape(1, 2, 1), np.int32(example)


class Damaged(Numbers):
    """One example cannot be read."""

    def read(self, example, random):
        if example == 17:
            raise ValueError("file 17.jpeg cannot be read")
        return super().read(example, random)


class Fatal(Numbers):
    """One example kills the process that reads it, as a lack of memory would."""

    def read(self, example, random):
        if example == 17:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(example, random)


EXAMPLES = np.random.default_rng(0).permutation(1000)[:24]
EPOCHS = np.arange(24) // 10


def batches(dataset, examples=EXAMPLES, epochs=EPOCHS, **options):
    options = {"batch_size": 4, "seed": 3} | options
    with BatchReader(dataset, examples, epochs, **options) as reader:
        return list(reader)


def joined(batches):
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_the_examples_come_in_order_in_whole_batches():
    read = batches(Numbers())
    assert [images.shape for images, _ in read] == [(4, 1, 2, 1)] * 6
    images, labels = joined(read)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(labels, EXAMPLES)
    np.testing.assert_array_equal(images[:, 0, 0, 0], EXAMPLES % 256)


def test_randomness_is_of_the_seed_the_epoch_and_the_example_alone():
    drawn = joined(batches(Numbers()))[0][:, 0, 1, 0]
    assert len(set(drawn)) > 10
    backwards = joined(batches(Numbers(), EXAMPLES[::-1], EPOCHS[::-1], batch_size=8))[0]
    np.testing.assert_array_equal(backwards[::-1, 0, 1, 0], drawn)
    for changes in ({"seed": 4}, {"epochs": EPOCHS + 1}):
        assert np.mean(joined(batches(Numbers(), **changes))[0][:, 0, 1, 0] == drawn) < 0.2
    assert not joined(batches(Numbers(), epochs=None))[0][:, 0, 1, 0].any()


def test_workers_change_nothing():
    for ours, theirs in zip(batches(Numbers(), workers=2), batches(Numbers()), strict=True):
        for read, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(read, expected)
            assert type(read) is np.ndarray  # not the memory that is shared with a worker


class Settings(Numbers):
    """Its labels tell which process reads, and what is set there in Pillow."""

    def read(self, example, random):
        known = "TEST" in Image.OPEN and Image.EXTENSION[".test"] == "TEST"
        told = (os.getpid(), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, known)
        return super().read(example, random)[0], np.int32(told[example])


class OddShape(Numbers):
    """Its images are not what it says."""

    def read(self, example, random):
        return np.zeros((2, 1), np.uint8), np.int32(0)


class Opener(ImageFile.ImageFile):
    """Opens a format that Pillow does not know."""


def recognise(prefix):
    return prefix.startswith(b"TEST")


def shared_memory():
    """What processes share at this moment; another test may run beside."""
    return {path for path in Path("/dev/shm").glob("psm_*") if path.owner() == getuser()}


@pytest.fixture
def set_in_pillow(monkeypatch):
    for name in ("OPEN", "EXTENSION"):
        monkeypatch.setattr(Image, name, dict(getattr(Image, name)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    Image.register_open("TEST", Opener, recognise)
    Image.register_extension("TEST", ".test")


def test_processes_outlive_readers_and_have_the_settings_of_pillow(set_in_pillow):
    """And what they share with this process is freed with each reader, not with them."""
    numbers, settings = Numbers(), Settings()
    with ReadWorkers([numbers, settings], processes=1) as workers:
        told = [batches(settings, np.arange(4), None, workers=workers) for _ in range(2)]
        others = batches(numbers, workers=workers)
        for thread in batches(numbers), others:
            np.testing.assert_array_equal(joined(thread)[0], joined(others)[0])
        (child,) = multiprocessing.active_children()
        for ((_, labels),) in told:
            assert labels.tolist() == [child.pid, 12345, 1, 1]
        before = shared_memory()
        with BatchReader(
            numbers, EXAMPLES, EPOCHS, batch_size=4, seed=0, workers=workers
        ) as reader:
            reader.start()
            assert len(shared_memory() - before) >= 6
        assert not shared_memory() - before
        # A reader that is broken leaves the others whole.
        with pytest.raises(ValueError, match=r"read\(0\) returned uint8\[2, 1\], .*; expected"):
            batches(OddShape(), np.arange(4), None)
    assert not child.is_alive()


def test_memory_that_does_not_fit_is_an_error_that_names_the_fix():
    """Rather than a killed process."""
    with pytest.raises(OSError, match=r"no room for a batch of 1,000,000 MB .*--shm-size"):
        loader._SharedBlock((((10**6, 10**6), np.dtype(np.uint8)),))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_example_that_cannot_be_read_is_named(workers):
    with pytest.raises(ValueError, match=r"file 17\.jpeg cannot be read"):
        batches(Damaged(), np.arange(40), np.zeros(40, int), workers=workers)


def test_a_worker_that_is_killed_is_an_error_and_no_hang():
    with pytest.raises(RuntimeError, match=r"ended unexpectedly.*use fewer of --read-workers"):
        batches(Fatal(), np.arange(40), np.zeros(40, int), workers=1)


@pytest.mark.parametrize("workers", [-1, 1.5])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers):
    with pytest.raises(ValueError, match=f"at least 0, got processes={workers}"):
        batches(Numbers(), workers=workers)


@pytest.mark.slow
def test_processes_outlive_signals_to_all_but_not_their_parent(tmp_path):
    """SLURM's SIGTERM and Ctrl-C reach every process; the first one saves and ends the others."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing, time
            from jaxsched.data import Digits, ReadWorkers, Streamed

            if __name__ == "__main__":
                train = Streamed(Digits()).load().train
                workers = ReadWorkers([train], 1)
                print(workers.submit(len, train).result())
                print(multiprocessing.active_children()[0].pid, flush=True)
                input()
                print(workers.submit(len, train).result(), flush=True)
                input()
            """
        )
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        assert parent.stdout.readline() == "1493\n"
        child = int(parent.stdout.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child, number)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "1493\n"
        parent.kill()
    deadline = time.monotonic() + 20
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_running(child)


def is_running(process):
    """Neither gone nor a zombie that nobody waits for."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_reading_starts_ahead_and_ends_early():

    class Watched(Numbers):
        def read(self, example, random):
            seen.append(example)
            begun.set()
            return super().read(example, random)

    seen, begun = [], threading.Event()
    before = set(threading.enumerate())
    examples = np.arange(800)
    with BatchReader(Watched(), examples, None, batch_size=4, seed=0) as reader:
        assert not seen
        reader.start()
        assert begun.wait(10)
        next(iter(reader))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert len(seen) < 800


@pytest.mark.slow
def test_a_script_with_workers_ends_silently(tmp_path):
    """Read to the end or stopped early; Python would warn at its end of what is left over."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing
            import numpy as np
            from jaxsched.data import BatchReader, Digits, Streamed

            if __name__ == "__main__":
                train = Streamed(Digits()).load().train
                for most in (5, 100):
                    reader = BatchReader(
                        train, np.arange(80), None, batch_size=8, seed=0, workers=1
                    )
                    for count, _ in enumerate(reader):
                        if count == most:
                            break
                    reader.close()
                assert not multiprocessing.active_children()
                print(count)
            """
        )
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr, result.returncode) == ("9\n", "", 0)


def test_examples_that_make_no_whole_batches_are_refused():
    with pytest.raises(ValueError, match="a multiple of batch_size=5 examples, got 24"):
        BatchReader(Numbers(), EXAMPLES, EPOCHS, batch_size=5, seed=0)


def test_streamed_images_are_those_of_the_source_and_of_its_subset():
    whole = Digits().load()
    for source, count in ((Digits(), 1493), (Subset(Digits(), 100), 100)):
        streamed = Streamed(source).load()
        assert len(streamed.train) == count
        assert streamed.train.elements == whole.train.elements
        images, labels = joined(batches(streamed.train, np.arange(100), None))
        np.testing.assert_array_equal(images, whole.train.images[:100])
        np.testing.assert_array_equal(labels, whole.train.labels[:100])
    part = Subset(Streamed(Digits()), 60).load()
    assert (len(part.train), len(part.test)) == (60, len(whole.test))
    image, label = part.train.read(59, None)
    np.testing.assert_array_equal(image, whole.train.images[59])
    assert label == whole.train.labels[59]


def test_every_example_that_cannot_be_read_is_listed():
    """In order, with the number of those that were read, as a bar shows it."""

    class Half(Numbers):
        def read(self, example, random):
            assert random is None
            if example % 2:
                raise (ValueError(f"file {example}") if example % 3 else KeyError())
            return super().read(example, random)

    half, counts = Half(), []
    with ReadWorkers([half]) as workers:
        errors = find_unreadable(half, workers, on_read=counts.append)
        some = find_unreadable(half, workers, np.array([8, 5]))
    assert sum(counts) == 1000 and len(counts) > 5
    odd = range(1, 1000, 2)
    assert errors == [f"file {n}" if n % 3 else f"example {n}: KeyError" for n in odd]
    assert some == ["file 5"]
