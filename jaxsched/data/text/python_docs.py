"""The text that needs no download: the language reference that comes with Python."""

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from jaxsched.data.dataset import Source
from jaxsched.data.fields import check_optional_file, check_whole
from jaxsched.data.split import check_share
from jaxsched.data.text.text_dataset import TextDataset, dataset_of
from jaxsched.data.text.vocabulary import load_tokens


@dataclass(frozen=True)
class PythonDocs(Source):
    """Some 400 kB of English from Python itself; needs no files and no network.

    It is what `help("topics")` shows, from the module `pydoc_data.topics`, topic by topic in the
    order of their names. Topics repeat each other, so a paragraph that stood before is left out:
    otherwise a tenth of the text to evaluate on would be known from training. Each version of
    Python has a text of its own; its digest is part of a run's identity.

    The last tenth of the tokens is the test split. See `Windows` for the examples.

    Attributes:
        context: the number of tokens that a network sees at a time.
        validation: the share of the training text, at its end, to evaluate on instead of the test
            split.
        tokenizer: the path of a tokenizer.json of Hugging Face; None takes bytes for tokens.

    Raises:
        ValueError: when `context` is below 1 or `validation` outside [0, 1).

    Source:
        The Python language reference, https://docs.python.org/3/reference, PSF license.

    Example:
        >>> from jaxsched.data import PythonDocs
        >>> dataset = PythonDocs(context=256).load()
        >>> 1_000 < len(dataset.train) < 2_000, dataset.train.elements[0].shape
        (True, (257,))
    """

    context: int = 256
    validation: float = 0.0
    tokenizer: str | None = None

    def __post_init__(self):
        check_whole("PythonDocs", "context", self.context)
        check_share("PythonDocs", self.validation)
        tokenizer = check_optional_file("PythonDocs", "tokenizer", self.tokenizer)
        object.__setattr__(self, "tokenizer", tokenizer)

    def load(self) -> TextDataset:
        """Reads the text from the running Python."""
        tokens = load_tokens(self.tokenizer)
        text = np.asarray(tokens.encode("\n\n".join(_paragraphs()).encode(), "pydoc_data.topics"))
        return dataset_of(
            "Python docs",
            text,
            tokens.vocabulary,
            context=self.context,
            test=0.1,
            validation=self.validation,
        )


def _paragraphs() -> Iterator[str]:
    """Yields each paragraph of the topics once.

    Raises:
        ValueError: when this Python has no such text.
    """
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except (ImportError, AttributeError):
        topics = None
    if not isinstance(topics, Mapping) or not all(isinstance(t, str) for t in topics.values()):
        raise ValueError(
            "PythonDocs needs the texts of pydoc_data.topics, which this Python does not have; "
            "install its standard library in full, or use TextFiles(folder)."
        )
    seen: set[str] = set()
    for _, topic in sorted(topics.items()):
        for paragraph in re.split(r"\n{2,}", topic.strip("\n")):
            key = " ".join(paragraph.split())  # a list may indent what it repeats
            if key not in seen:
                seen.add(key)
                yield paragraph
