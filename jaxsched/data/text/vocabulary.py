"""The tokens of a text: bytes, or those of a tokenizer's file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data.fields import find_folder
from jaxsched.extras import require_extra


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The different tokens of a text, numbered from 0.

    Attributes:
        byte_lengths: int32[size], how many bytes of text each token stands for.
        tokenizer: the digest of the tokenizer's file; None where the tokens are bytes.

    Example:
        >>> from jaxsched.data.text.vocabulary import BYTES
        >>> BYTES.size, BYTES.dtype
        (256, dtype('uint16'))
    """

    byte_lengths: np.ndarray
    tokenizer: str | None

    @property
    def size(self) -> int:
        """The number of different tokens."""
        return len(self.byte_lengths)

    @property
    def dtype(self) -> np.dtype:
        """The dtype that tokens are stored in: uint16, or uint32 for more than 65,536 of them."""
        return np.dtype("<u2" if self.size <= 2**16 else "<u4")


BYTES = Vocabulary(np.ones(256, np.int32), None)


class ByteTokens:
    """Takes each byte of a text for a token."""

    vocabulary = BYTES

    def encode(self, text: bytes, name: str) -> np.ndarray:
        """Returns the bytes; see `TokenizerFile.encode`."""
        del name
        return np.frombuffer(text, np.uint8).astype(self.vocabulary.dtype)


class TokenizerFile:
    """A tokenizer of Hugging Face, from its file `tokenizer.json`.

    It must work on bytes, as the tokenizers of GPT-2, Llama 3 and Qwen do: then the number of bytes
    that each token stands for is known, and a loss can be told in bits a byte, which does not
    depend on the tokenizer.

    Args:
        path: the file; `~` is the home folder.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no tokenizer's, or its tokens are not made of bytes.

    Source:
        https://github.com/huggingface/tokenizers.
    """

    def __init__(self, path: str):
        require_extra("A tokenizer", "text", "tokenizers")
        import tokenizers

        file = find_folder(path)
        if not file.is_file():
            raise FileNotFoundError(
                f"expected a tokenizer's file, tokenizer.json, got {file}, which is none; save one "
                "with `tokenizer.save(…)`, or leave tokenizer out for bytes."
            )
        content = file.read_bytes()
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises no narrower one
            raise ValueError(f"{file} is no tokenizer.json of Hugging Face: {error}.") from error
        # An example must not end where a tokenizer made for sentences would cut or fill it.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._file = file
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        self.vocabulary = Vocabulary(_byte_lengths(self._tokenizer, file), digest)

    def encode(self, text: bytes, name: str) -> np.ndarray:
        """Returns the tokens of a text.

        Args:
            text: the text in UTF-8.
            name: what the text is called in messages, such as its path.

        Raises:
            ValueError: when it is no UTF-8, or the tokens do not stand for every byte of it.
        """
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name} is not in UTF-8, which a tokenizer needs ({error.reason} at byte "
                f"{error.start:,}); convert the file, or leave tokenizer out to take its bytes."
            ) from None
        ids = self._tokenizer.encode(decoded, add_special_tokens=False).ids
        tokens = np.array(ids, self.vocabulary.dtype)
        found = int(self.vocabulary.byte_lengths[tokens].sum(dtype=np.int64))
        if found != len(text):
            raise ValueError(
                f"the tokens of {name} by {self._file} stand for {found:,} bytes, but it has "
                f"{len(text):,}: the tokenizer changes the text; use one without a normalizer and "
                "without add_prefix_space."
            )
        return tokens


def load_tokens(tokenizer: str | None) -> ByteTokens | TokenizerFile:
    """Returns the tokens that a source's field `tokenizer` names: bytes for None."""
    return ByteTokens() if tokenizer is None else TokenizerFile(tokenizer)


def _byte_lengths(tokenizer: Any, file: Path) -> np.ndarray:
    """How many bytes each token stands for; 0 for a number that is no token's.

    Raises:
        ValueError: when a token has a character that stands for no byte.
    """
    added = {
        number: token.content for number, token in tokenizer.get_added_tokens_decoder().items()
    }
    alphabet = _alphabet()
    names = tokenizer.get_vocab(with_added_tokens=True)
    lengths = np.zeros(max(names.values()) + 1, np.int32)
    for name, number in names.items():
        if number in added:  # stands in the text as it is
            lengths[number] = len(added[number].encode())
        elif alphabet.issuperset(name):
            lengths[number] = len(name)
        else:
            raise ValueError(
                f"{file} has the token {name!r}, which is not made of bytes; use a byte-level "
                "tokenizer, such as GPT-2's, or leave tokenizer out for bytes."
            )
    return lengths


def _alphabet() -> frozenset[str]:
    """The 256 characters by which byte-level tokenizers write bytes."""
    from tokenizers.pre_tokenizers import ByteLevel

    return frozenset(ByteLevel.alphabet())
