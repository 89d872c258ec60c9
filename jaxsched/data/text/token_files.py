"""Files of tokens, made once, of which windows are read as they are needed."""

import os
from dataclasses import dataclass
from pathlib import Path

from jaxsched.data.dataset import Source
from jaxsched.data.fields import (
    check_folder,
    check_optional_file,
    check_text,
    check_whole,
    find_folder,
)
from jaxsched.data.split import check_share
from jaxsched.data.text.text_dataset import TextDataset
from jaxsched.data.text.vocabulary import Vocabulary, load_tokens
from jaxsched.data.text.windows import FileWindows, num_left_over, require_windows, without_end


@dataclass(frozen=True)
class TokenFiles(Source):
    """Two files of tokens, to train on and to evaluate on, in nanoGPT's layout.

    A file holds the numbers of the tokens one after another and nothing else, little-endian uint16
    (uint32 where the tokenizer has more than 65,536 tokens). It is mapped into memory and its
    windows are read as they are needed, so it may be larger than the memory. `data/*/prepare.py` of
    nanoGPT makes such files; `array.astype("<u2").tofile(path)` does so too.

    See `Windows` for the examples; `TextDataset.left_over` says what fills none.

    Attributes:
        folder: the folder of the files; `~` is the home folder.
        train: the file to train on.
        test: the file to evaluate on.
        context: the number of tokens that a network sees at a time.
        validation: the share of `train`, at its end, to evaluate on instead of `test`.
        tokenizer: the path of the byte-level tokenizer.json of Hugging Face that made the tokens;
            needs the extra [text]. None takes them for bytes.

    Raises:
        ValueError: when a name is empty, `context` below 1, or `validation` outside [0, 1).

    Source:
        https://github.com/karpathy/nanoGPT.

    Example:
        >>> from jaxsched.data import TokenFiles
        >>> TokenFiles("~/openwebtext", tokenizer="~/gpt2/tokenizer.json", context=1024).test
        'val.bin'
    """

    folder: str
    train: str = "train.bin"
    test: str = "val.bin"
    context: int = 256
    validation: float = 0.0
    tokenizer: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "folder", check_folder("TokenFiles", "folder", self.folder))
        check_text("TokenFiles", "train", self.train)
        check_text("TokenFiles", "test", self.test)
        check_whole("TokenFiles", "context", self.context)
        check_share("TokenFiles", self.validation)
        tokenizer = check_optional_file("TokenFiles", "tokenizer", self.tokenizer)
        object.__setattr__(self, "tokenizer", tokenizer)

    def load(self) -> TextDataset:
        """Looks at sizes; an error names the file that is missing or damaged."""
        folder, vocabulary = find_folder(self.folder), load_tokens(self.tokenizer).vocabulary
        train_file, test_file = folder / self.train, folder / self.test
        train = range(_num_tokens(train_file, vocabulary))
        if self.validation:
            train, test = without_end(train, self.validation)
            test_file, evaluated_on = train_file, "validation"
        else:
            test, evaluated_on = range(_num_tokens(test_file, vocabulary)), "test"
        for path, part in (train_file, train), (test_file, test):
            require_windows(str(path), len(part), self.context)
        return TextDataset(
            name=Path(os.path.abspath(folder)).name,  # also of "."
            train=FileWindows(train_file, vocabulary, self.context, train),
            test=FileWindows(test_file, vocabulary, self.context, test),
            evaluated_on=evaluated_on,
            vocabulary=vocabulary,
            left_over=(
                num_left_over(len(train), self.context),
                num_left_over(len(test), self.context),
            ),
        )


def _num_tokens(path: Path, vocabulary: Vocabulary) -> int:
    """Returns how many tokens a file holds; raises an error when it is missing or cut off."""
    if not path.is_file():
        raise FileNotFoundError(
            f"TokenFiles needs a file of tokens {path}; there is none. Give the folder of the "
            "files as folder, and their names as train and test."
        )
    size, each = path.stat().st_size, vocabulary.dtype.itemsize
    if size % each:
        raise ValueError(
            f"{path} has {size:,} bytes, which is no multiple of the {each} of a "
            f"{vocabulary.dtype.name} token: the file is cut off, or of another dtype; write it "
            "anew."
        )
    return size // each
