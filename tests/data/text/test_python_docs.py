import re
import sys
import types
from pydoc_data.topics import topics

import numpy as np
import pytest

from jaxsched.data import PythonDocs


def text_of(windows):
    """The bytes that windows were cut from: each one's inputs, and the last one's last target."""
    tokens = windows.tokens
    return np.append(tokens[:, :-1], tokens[-1, -1]).astype(np.uint8).tobytes()


def sevens(text):
    """All runs of seven words."""
    words = text.split()
    return {tuple(words[i : i + 7]) for i in range(len(words) - 6)}


def test_it_is_the_text_of_this_python_without_repetitions():
    dataset = PythonDocs(context=100).load()
    train, test = (text_of(part).decode(errors="ignore") for part in (dataset.train, dataset.test))
    assert train.startswith(topics[min(topics)].strip()[:100])
    # Each long paragraph is in it once, but for those at the cut and in what is left over.
    paragraphs = {p for topic in topics.values() for p in re.split(r"\n{2,}", topic.strip("\n"))}
    words = [" ".join(text.split()) for text in (train, test)]
    found = [
        sum(text.count(" ".join(paragraph.split())) for text in words)
        for paragraph in paragraphs
        if len(paragraph) > 300
    ]
    assert found.count(1) >= len(found) - 3
    assert max(found) == 1
    # Short formulas may come back, such as "New in version 3.5".
    assert len(sevens(test) & sevens(train)) < 0.02 * len(sevens(test))


def test_each_token_but_a_parts_first_is_a_target_once_and_no_part_shares_one():
    dataset = PythonDocs(context=64, validation=0.2).load()
    whole = PythonDocs(context=64).load()
    assert (dataset.evaluated_on, whole.evaluated_on) == ("validation", "test")
    train, held = text_of(dataset.train), text_of(dataset.test)
    assert len(train) == 64 * len(dataset.train) + 1
    # The held-out text follows the training text, and the text for testing follows both.
    assert text_of(whole.train).startswith(train)
    rest = text_of(whole.train)[len(train) + dataset.left_over[0] :]
    assert held.startswith(rest[: len(held)])
    lengths = [len(train) + dataset.left_over[0], len(held) + dataset.left_over[1]]
    assert sum(lengths) == len(text_of(whole.train)) + whole.left_over[0]
    assert lengths[1] == -(-sum(lengths) // 5)


def test_another_pythons_text_has_another_fingerprint(monkeypatch):
    ours = PythonDocs().load().fingerprint
    other = types.ModuleType("pydoc_data.topics")
    other.topics = {**topics, "assert": "New words."}
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", other)
    assert PythonDocs().load().fingerprint != ours


@pytest.mark.parametrize("content", [None, {"topics": ["a", "b"]}, {"topics": {"a": b"bytes"}}])
def test_a_python_without_the_text_is_told_so(monkeypatch, content):
    module = None
    if content is not None:
        module = types.ModuleType("pydoc_data.topics")
        module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", module)
    with pytest.raises(ValueError, match=r"this Python does not have; install .* or use TextFiles"):
        PythonDocs().load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": 0}, "PythonDocs needs context as a whole number of at least 1, got context=0"),
        ({"validation": 1.0}, r"validation.* within \[0, 1\)"),
        ({"tokenizer": ""}, "tokenizer as the path of a file or None, got tokenizer=''"),
    ],
)
def test_nonsense_is_refused_when_built(fields, message):
    with pytest.raises(ValueError, match=message):
        PythonDocs(**fields)


def test_a_context_longer_than_the_text_is_refused():
    with pytest.raises(ValueError, match=r"the test text of Python docs has .* context=100000 and"):
        PythonDocs(context=100_000).load()
