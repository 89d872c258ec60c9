"""Loaded texts, and how they are split."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsched.data.dataset import Dataset
from jaxsched.data.text.vocabulary import Vocabulary
from jaxsched.data.text.windows import Windows, num_left_over, require_windows, without_end


@dataclass(frozen=True, eq=False)
class TextDataset(Dataset):
    """A loaded text, cut into windows of tokens to train on and to evaluate on.

    Attributes:
        name: see `Dataset`, as for `train`, `test` and `evaluated_on`.
        vocabulary: the tokens.
        left_over: how many tokens at the end of `train` and of `test` fill no window.

    Example:
        >>> from jaxsched.data import PythonDocs
        >>> dataset = PythonDocs(context=64).load()
        >>> dataset.vocabulary.size, dataset.context
        (256, 64)
    """

    vocabulary: Vocabulary
    left_over: tuple[int, int]

    @property
    def context(self) -> int:
        """The number of a window's inputs, and of its targets."""
        return self.train.elements[0].shape[0] - 1

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """See `Dataset.fingerprint`; with the tokens, and what is left over."""
        return {
            "vocabulary": self.vocabulary.size,
            "tokenizer": self.vocabulary.tokenizer,
            "left_over": list(self.left_over),
            **super().fingerprint,
        }


def dataset_of(
    name: str,
    text: np.ndarray,
    vocabulary: Vocabulary,
    *,
    context: int,
    test: float,
    validation: float,
) -> TextDataset:
    """Splits a text in memory: its end is for testing, and what is held out ends the rest.

    Args:
        name: the name for tables and messages.
        text: its tokens, [n].
        vocabulary: the tokens' vocabulary.
        context: the number of inputs of a window.
        test: the share of the text that is for testing.
        validation: the share of the rest to evaluate on instead.

    Raises:
        ValueError: when a part fills no window.
    """
    train, evaluated = without_end(range(len(text)), test)
    evaluated_on = "test"
    if validation:
        train, evaluated = without_end(train, validation)
        evaluated_on = "validation"
    for part, tokens in ("training", train), (evaluated_on, evaluated):
        require_windows(f"the {part} text of {name}", len(tokens), context)
    return TextDataset(
        name=name,
        train=Windows.of(text[train.start : train.stop], context),
        test=Windows.of(text[evaluated.start : evaluated.stop], context),
        evaluated_on=evaluated_on,
        vocabulary=vocabulary,
        left_over=(num_left_over(len(train), context), num_left_over(len(evaluated), context)),
    )
