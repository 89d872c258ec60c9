import numpy as np
import pytest

from jaxsched.data import TokenFiles

TRAIN = np.random.default_rng(0).integers(256, size=1000)
TEST = np.arange(50)


@pytest.fixture
def folder(tmp_path):
    TRAIN.astype("<u2").tofile(tmp_path / "train.bin")
    TEST.astype("<u2").tofile(tmp_path / "val.bin")
    return tmp_path


def test_windows_of_the_files_are_read_as_they_are_needed(folder, assert_workers_read_the_same):
    dataset = TokenFiles(folder, context=9).load()
    assert (len(dataset.train), len(dataset.test), dataset.left_over) == (111, 5, (0, 4))
    for example in (0, 57, 110):
        (window,) = dataset.train.read(example, None)
        assert window.dtype == dataset.train.elements[0].dtype == np.uint16
        np.testing.assert_array_equal(window, TRAIN[9 * example : 9 * example + 10])
    np.testing.assert_array_equal(dataset.test.read(4, None)[0], range(36, 46))
    assert_workers_read_the_same(dataset.train, count=100, batch_size=10)


def test_the_end_of_the_training_file_is_held_out(folder):
    dataset = TokenFiles(folder, context=9, validation=0.1).load()
    assert (dataset.evaluated_on, len(dataset.train), len(dataset.test)) == ("validation", 99, 11)
    np.testing.assert_array_equal(dataset.train.read(98, None)[0], TRAIN[882:892])
    np.testing.assert_array_equal(dataset.test.read(0, None)[0], TRAIN[900:910])


def test_the_fingerprint_is_of_sizes_and_ends(folder, tmp_path_factory):
    before = TokenFiles(folder, context=9).load().fingerprint
    other = tmp_path_factory.mktemp("elsewhere")
    for name in ("train.bin", "val.bin"):
        (other / name).write_bytes((folder / name).read_bytes())
    assert TokenFiles(other, context=9).load().fingerprint == before
    np.flip(TEST).astype("<u2").tofile(other / "val.bin")
    changed = TokenFiles(other, context=9).load().fingerprint
    assert (changed["train"], changed["test"] == before["test"]) == (before["train"], False)


def test_a_file_that_is_no_file_of_tokens_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"needs a file of tokens .*dev.bin; there is none"):
        TokenFiles(folder, test="dev.bin").load()
    (folder / "cut.bin").write_bytes(bytes(3))
    with pytest.raises(
        ValueError, match=r"cut.bin has 3 bytes, .* no multiple of the 2 of a uint16"
    ):
        TokenFiles(folder, train="cut.bin").load()
    with pytest.raises(ValueError, match=r"val.bin has 50 tokens, too few for .*context=50"):
        TokenFiles(folder, context=50).load()
    with pytest.raises(ValueError, match="TokenFiles needs train as text that is not empty"):
        TokenFiles(folder, train="")


def test_a_token_beyond_the_vocabulary_is_named_with_its_place(folder):
    np.append(TRAIN, [300, 5]).astype("<u2").tofile(folder / "train.bin")
    dataset = TokenFiles(folder, context=7).load()
    message = r"train.bin has the token 300 at place 1,000, beyond the vocabulary of 256; give the"
    with pytest.raises(ValueError, match=message):
        dataset.train.read(142, None)
    with pytest.raises(ValueError, match=message):  # before a run begins
        _ = dataset.fingerprint
