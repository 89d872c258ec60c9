"""A text cut into windows of tokens: in memory, or in a file of which windows are read."""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsched.data.dataset import Examples, StreamedExamples
from jaxsched.data.fields import is_number
from jaxsched.data.fingerprint import digest
from jaxsched.data.text.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Windows(Examples):
    """One split of a text, held in host memory.

    Attributes:
        tokens: uint16[N, context + 1] or uint32: the inputs, and the targets one place further on.
            The last token of a window is the first one of the next, so that each token but the
            text's first is a target once.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data.text.windows import Windows
        >>> Windows.of(np.arange(9, dtype=np.uint16), context=3).tokens
        array([[0, 1, 2, 3],
               [3, 4, 5, 6]], dtype=uint16)
    """

    tokens: np.ndarray

    @classmethod
    def of(cls, text: np.ndarray, context: int) -> "Windows":
        """Returns the windows of a text; what fills no window at its end is left out."""
        views = np.lib.stride_tricks.sliding_window_view(text, context + 1)[::context]
        return cls(np.ascontiguousarray(views))

    @property
    def arrays(self) -> tuple[np.ndarray]:
        """The tokens."""
        return (self.tokens,)


class FileWindows(StreamedExamples):
    """A part of a file of tokens, of which one window after another is read.

    Args:
        path: the file.
        vocabulary: its tokens.
        context: see `Windows`.
        part: the first of the part's tokens, and the one after its last.
    """

    def __init__(self, path: Path, vocabulary: Vocabulary, context: int, part: range):
        self._path, self._part, self._context = path, part, context
        self._dtype, self._vocabulary_size = vocabulary.dtype, vocabulary.size

    def __len__(self) -> int:
        return num_windows(len(self._part), self._context)

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """See `StreamedExamples.elements`."""
        return (jax.ShapeDtypeStruct((self._context + 1,), self._dtype),)

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray]:
        """See `StreamedExamples.read`."""
        del random
        return (self._tokens(example * self._context, self._context + 1),)

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedExamples.fingerprint`; a digest of the first and last million tokens."""
        count = min(10**6, len(self._part))
        ends = (self._tokens(0, count), self._tokens(len(self._part) - count, count))
        return {**super().fingerprint(), "tokens": len(self._part), "digest": digest(ends)}

    def _tokens(self, first: int, count: int) -> np.ndarray:
        """Returns tokens of the part; raises `ValueError` for one beyond the vocabulary."""
        start = self._part[first]
        # Opened anew each time: a map that lives on would be pickled as a copy of the whole file.
        place = start * self._dtype.itemsize
        tokens = np.array(np.memmap(self._path, self._dtype, "r", offset=place, shape=(count,)))
        if tokens.max() >= self._vocabulary_size:
            wrong = int(tokens.argmax())
            raise ValueError(
                f"{self._path} has the token {tokens[wrong]} at place {start + wrong:,}, beyond "
                f"the vocabulary of {self._vocabulary_size:,}; give the tokenizer that made it as "
                "tokenizer (without one, tokens are bytes)."
            )
        return tokens


def num_windows(num_tokens: int, context: int) -> int:
    """Returns how many windows a text of so many tokens fills."""
    return max(num_tokens - 1, 0) // context


def num_left_over(num_tokens: int, context: int) -> int:
    """Returns how many tokens at the end of a text fill no window."""
    return (num_tokens - 1) % context


def without_end(part: range, share: float) -> tuple[range, range]:
    """Cuts the last ⌈share · n⌉ of n tokens off; the share is the decimal that it prints as.

    What is held out of a text is a part at its end, not windows here and there: next to a window,
    and so in the training text, stand the same names, words and sentences as in it.

    Example:
        >>> from jaxsched.data.text.windows import without_end
        >>> without_end(range(0, 100), 0.07)
        (range(0, 93), range(93, 100))
    """
    cut = len(part) - math.ceil(Fraction(str(share)) * len(part))
    return part[:cut], part[cut:]


def check_test_share(owner: str, test: Any) -> None:
    """Raises `ValueError` unless `test` is a share of the text that leaves some to train on."""
    if not is_number(test) or not 0 < test < 1:
        raise ValueError(
            f"{owner} needs test, the share of the text to evaluate on, within (0, 1), got "
            f"test={test!r}; 0.1 holds out the last tenth."
        )


def require_windows(name: str, num_tokens: int, context: int) -> None:
    """Raises `ValueError` unless a text fills a window."""
    if not num_windows(num_tokens, context):
        raise ValueError(
            f"{name} has {num_tokens:,} tokens, too few for one window of context={context} and "
            "the token after it; use a shorter context or more text."
        )
