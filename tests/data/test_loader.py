"""Batches against the examples themselves, read by threads and by other processes."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from jaxsched.data import BatchReader, Digits, Streamed, StreamedImages, Subset


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
        return [(batch.images, batch.labels) for batch in reader]


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


def test_memory_shared_with_workers_is_freed_with_the_reader():
    gc.disable()  # or it may go by chance
    try:
        assert len(batches(Numbers(), workers=1)) == 6
        assert "SharedMemoryArray" not in {type(thing).__name__ for thing in gc.get_objects()}
    finally:
        gc.enable()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_example_that_cannot_be_read_is_named(workers):
    with pytest.raises(ValueError, match=r"file 17\.jpeg cannot be read"):
        batches(Damaged(), np.arange(40), np.zeros(40, int), workers=workers)


def test_a_worker_that_is_killed_is_an_error_and_no_hang():
    with pytest.raises(RuntimeError, match="terminated unexpectedly with exit code -9"):
        batches(Fatal(), np.arange(40), np.zeros(40, int), workers=1)


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
                multiprocessing.Event().wait(0.5)  # Grain frees in a thread of its own
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
        assert streamed.train.image_shape == whole.train.image_shape
        images, labels = joined(batches(streamed.train, np.arange(100), None))
        np.testing.assert_array_equal(images, whole.train.images[:100])
        np.testing.assert_array_equal(labels, whole.train.labels[:100])
    part = Subset(Streamed(Digits()), 60).load()
    assert (len(part.train), len(part.test)) == (60, len(whole.test))
    image, label = part.train.read(59, None)
    np.testing.assert_array_equal(image, whole.train.images[59])
    assert label == whole.train.labels[59]
