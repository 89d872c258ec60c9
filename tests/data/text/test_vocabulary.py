"""Tokenizers, trained here on a few words; GPT-2's file has the same parts."""

import numpy as np
import pytest
import tokenizers

from jaxsched.data import TextFiles, TokenFiles
from jaxsched.data.text.vocabulary import TokenizerFile, load_tokens

TEXT = "Grüße, world! <end> The naïve 🐍 said: one two two\n\tthree three three. " * 20


def saved(path, **settings):
    """A byte-level tokenizer of 290 tokens, one of which is `<end>`."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, **settings)
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<end>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.enable_truncation(5)  # as tokenizers made for sentences do
    tokenizer.enable_padding(length=900)
    tokenizer.save(str(path))
    return tokenizer


def test_a_tokens_length_is_that_of_its_text_in_bytes(tmp_path):
    theirs = saved(tmp_path / "tokenizer.json")
    tokens = TokenizerFile(str(tmp_path / "tokenizer.json"))
    found = tokens.encode(TEXT.encode(), "text")
    theirs.no_truncation()
    theirs.no_padding()
    np.testing.assert_array_equal(found, theirs.encode(TEXT).ids)
    assert (tokens.vocabulary.size, found.dtype) == (290, np.uint16)
    assert len(found) < len(TEXT.encode()) / 2
    # Cut anywhere, the lengths add up to the bytes that the tokens before the cut stand for.
    for cut in (1, 4, 40, len(found)):
        decoded = theirs.decode(found[:cut].tolist(), skip_special_tokens=False)
        length = tokens.vocabulary.byte_lengths[found[:cut]].sum()
        if "\ufffd" not in decoded:  # the cut is between two letters
            assert length == len(decoded.encode())
    assert tokens.vocabulary.byte_lengths[theirs.token_to_id("<end>")] == 5


def test_a_source_has_the_tokenizers_tokens_and_its_digest(tmp_path):
    saved(tmp_path / "tokenizer.json")
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    source = TextFiles(tmp_path, context=10, tokenizer=tmp_path / "tokenizer.json")
    dataset = source.load()
    assert dataset.vocabulary.size == 290
    assert dataset.fingerprint["tokenizer"] == dataset.vocabulary.tokenizer
    dataset.train.tokens.tofile(tmp_path / "train.bin")
    files = TokenFiles(tmp_path, test="train.bin", context=10, tokenizer=source.tokenizer).load()
    assert files.vocabulary.tokenizer == dataset.vocabulary.tokenizer
    with (tmp_path / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert source.load().fingerprint != dataset.fingerprint


def test_tokens_of_more_than_two_bytes_are_stored_in_four(tmp_path):
    tokenizer = saved(tmp_path / "tokenizer.json")
    tokenizer.add_tokens([f"<{number}>" for number in range(70_000)])
    tokenizer.save(str(tmp_path / "large.json"))
    tokens = load_tokens(str(tmp_path / "large.json"))
    assert tokens.encode(b"<69999> three", "text").tolist()[0] == 70_289
    assert (tokens.vocabulary.size, tokens.vocabulary.dtype) == (70_290, np.uint32)
    np.array([70_289] * 40, np.uint32).tofile(tmp_path / "train.bin")
    dataset = TokenFiles(tmp_path, "train.bin", "train.bin", 9, 0.0, tmp_path / "large.json").load()
    assert dataset.train.read(2, None)[0].tolist() == [70_289] * 10


def test_what_is_no_byte_level_tokenizer_or_no_text_for_it_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(FileNotFoundError, match=r"expected a tokenizer's file, tokenizer.json"):
        load_tokens(str(path))
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"is no tokenizer.json of Hugging Face"):
        load_tokens(str(path))
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"▁one": 0, "two": 1}))
    words.save(str(path))
    with pytest.raises(ValueError, match=r"the token '▁one', which is not made of bytes"):
        load_tokens(str(path))
    saved(path)
    with pytest.raises(ValueError, match=r"a.txt is not in UTF-8, .*at byte 2\); convert the file"):
        load_tokens(str(path)).encode(b"Gr\xc3\xff", "a.txt")
    lower = tokenizers.Tokenizer.from_file(str(path))
    lower.normalizer = tokenizers.normalizers.NFKC()
    lower.save(str(path))
    with pytest.raises(ValueError, match=r"stand for 4 bytes, but it has 5: the tokenizer changes"):
        load_tokens(str(path)).encode("ﬁne".encode(), "a.txt")
