import numpy as np
import pytest

from jaxsched.data import Streamed, Subset, TextFiles


@pytest.fixture
def folder(tmp_path):
    """Files whose bytes tell where they stand; 'Z' comes before 'a', a/c.txt before a/d.txt."""
    files = {"a/d.txt": 40, "a/c.txt": 30, "Z.txt": 20, "b.txt": 0, "e.txt": 11}
    start = 0
    for name in ("Z.txt", "a/c.txt", "a/d.txt", "b.txt", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(range(start, start + files[name])))
        start += files[name]
    (tmp_path / ".hidden.txt").write_text("hidden")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "log.txt").write_text("hidden")
    (tmp_path / "notes.md").write_text("other")
    return tmp_path


def test_files_are_read_in_order_as_one_text(folder):
    """101 tokens 0 … 100, of which the last 11 are for testing."""
    dataset = TextFiles(folder, context=8).load()
    assert dataset.train.tokens.dtype == np.uint16
    np.testing.assert_array_equal(dataset.train.tokens[:, 0], range(0, 81, 8))
    np.testing.assert_array_equal(dataset.train.tokens[10], range(80, 89))
    np.testing.assert_array_equal(dataset.test.tokens, [range(90, 99)])
    assert dataset.left_over == (1, 2)  # 89; 99 and 100
    assert (dataset.name, dataset.context) == (folder.name, 8)
    held_out = TextFiles(folder, context=8, test=0.5, validation=0.3).load()
    assert (held_out.train.tokens.max(), held_out.test.tokens.min()) == (32, 35)


def test_a_pattern_chooses_other_files(folder):
    assert TextFiles(folder, files="*.md", context=1, test=0.4).load().left_over == (0, 0)


def test_streamed_and_in_memory_are_the_same_examples(folder, assert_workers_read_the_same):
    source = TextFiles(folder, context=8)
    whole, streamed = source.load(), Streamed(source).load()
    read = [streamed.train.read(i, None)[0] for i in range(len(streamed.train))]
    np.testing.assert_array_equal(read, whole.train.tokens)
    assert streamed.fingerprint == whole.fingerprint
    assert len(Subset(source, num_train=3).load().train) == 3
    assert_workers_read_the_same(streamed.train, count=8, batch_size=4)


def test_the_fingerprint_is_of_the_text_not_of_the_folder(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "all.txt").write_bytes(bytes(range(101)))
    before = TextFiles(folder, context=8).load().fingerprint
    assert TextFiles(other, context=8).load().fingerprint == before
    assert TextFiles(other, context=9).load().fingerprint != before
    (other / "all.txt").write_bytes(bytes(range(100)) + b"!")
    assert TextFiles(other, context=8).load().fingerprint["test"] == before["test"]  # left over
    (other / "all.txt").write_bytes(b"!" + bytes(range(1, 101)))
    assert TextFiles(other, context=8).load().fingerprint["train"] != before["train"]


def test_a_missing_or_an_empty_folder_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"needs a folder of text files, got .*nowhere"):
        TextFiles(folder / "nowhere").load()
    with pytest.raises(ValueError, match=r"no file of '\*.tex' in .* holds 5 .txt .*give the pat"):
        TextFiles(folder, files="*.tex").load()
    with pytest.raises(ValueError, match=r"a pattern within the folder.*got '/tmp'"):
        TextFiles(folder, files="/tmp").load()
    with pytest.raises(ValueError, match=r"training text of .* has 90 tokens, too few .*=90 and"):
        TextFiles(folder, context=90).load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folder": ""}, "TextFiles needs folder as the path of a folder"),
        ({"files": None}, "TextFiles needs files as text that is not empty"),
        ({"context": 2.5}, "TextFiles needs context as a whole number of at least 1"),
        ({"test": 0}, r"the share of the text to evaluate on, within \(0, 1\), got test=0"),
        ({"validation": 1}, r"validation.* within \[0, 1\)"),
        ({"tokenizer": 3}, "tokenizer as the path of a file or None, got tokenizer=3"),
    ],
)
def test_nonsense_is_refused_when_built(fields, message):
    with pytest.raises(ValueError, match=message):
        TextFiles(**{"folder": "texts", **fields})
