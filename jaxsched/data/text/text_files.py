"""All text files of a folder."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxsched.data.dataset import Source
from jaxsched.data.fields import (
    check_folder,
    check_optional_file,
    check_text,
    check_whole,
    find_folder,
)
from jaxsched.data.sources.image_files import describe_files
from jaxsched.data.split import check_share
from jaxsched.data.text.text_dataset import TextDataset, dataset_of
from jaxsched.data.text.vocabulary import load_tokens
from jaxsched.data.text.windows import check_test_share


@dataclass(frozen=True)
class TextFiles(Source):
    """All text files of a folder, one after another, as one text.

    Files are read in the order of their paths within the folder, compared character by character,
    with nothing put in between; hidden ones, and those in hidden folders, are skipped. Each file is
    turned into tokens by itself. All tokens are held in memory: for more text than fits, write a
    file of tokens once and use `TokenFiles`.

    The last part of the text is for testing, not windows here and there, because next to a window
    stand the same words as in it. So a folder of several works is tested on the last of them. See
    `Windows` for the examples; `TextDataset.left_over` says what fills none.

    Attributes:
        folder: the folder; `~` is the home folder.
        files: which files, as a pattern within the folder: by default all `.txt`, however deep.
        context: the number of tokens that a network sees at a time.
        test: the share of the text, at its end, that is for testing.
        validation: the share of the rest, at its end, to evaluate on instead of the test split.
        tokenizer: the path of a byte-level tokenizer.json of Hugging Face, such as GPT-2's; needs
            the extra [text]. None takes bytes for tokens, of files in any encoding.

    Raises:
        ValueError: when `folder` or `files` is empty, `context` below 1, or a share out of range.

    Example:
        >>> from jaxsched.data import TextFiles
        >>> TextFiles("~/books", context=512)
        TextFiles(folder='~/books', files='**/*.txt', context=512, test=0.1, validation=0.0,
        tokenizer=None)
    """

    folder: str
    files: str = "**/*.txt"
    context: int = 256
    test: float = 0.1
    validation: float = 0.0
    tokenizer: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "folder", check_folder("TextFiles", "folder", self.folder))
        check_text("TextFiles", "files", self.files)
        check_whole("TextFiles", "context", self.context)
        check_test_share("TextFiles", self.test)
        check_share("TextFiles", self.validation)
        tokenizer = check_optional_file("TextFiles", "tokenizer", self.tokenizer)
        object.__setattr__(self, "tokenizer", tokenizer)

    def load(self) -> TextDataset:
        """Reads all files; an error names the folder or the file that is missing or damaged."""
        folder, tokens = find_folder(self.folder), load_tokens(self.tokenizer)
        texts = [tokens.encode(path.read_bytes(), str(path)) for path in _paths(folder, self.files)]
        return dataset_of(
            Path(os.path.abspath(folder)).name,  # also of "."
            np.concatenate(texts),
            tokens.vocabulary,
            context=self.context,
            test=self.test,
            validation=self.validation,
        )


def _paths(folder: Path, pattern: str) -> list[Path]:
    """Returns the files in order; raises an error when there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"TextFiles needs a folder of text files, got {folder}, which is none; correct folder."
        )
    try:
        names = _names(folder, pattern)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(
            f"TextFiles needs files as a pattern within the folder, such as '**/*.txt', got "
            f"{pattern!r}: {error}."
        ) from error
    if not names:
        raise ValueError(
            f"TextFiles found no file of {pattern!r} in {folder}, which holds "
            f"{describe_files(_names(folder, '**/*')) or 'nothing'}; give the pattern of its text "
            "files as files."
        )
    return [folder / name for name in names]


def _names(folder: Path, pattern: str) -> list[str]:
    """Returns the paths within the folder of its files that are not hidden, in order."""
    found = (path.relative_to(folder) for path in folder.glob(pattern) if path.is_file())
    return sorted(
        name.as_posix() for name in found if not any(part.startswith(".") for part in name.parts)
    )
