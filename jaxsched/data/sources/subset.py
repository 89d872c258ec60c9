"""A subset of the training examples of another source."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxsched.data.dataset import Dataset, Examples, Source, StreamedExamples
from jaxsched.data.fields import check_kind, check_whole
from jaxsched.data.transforms.augment import Augment


@dataclass(frozen=True)
class Subset(Source):
    """The first training examples of another source, in file order.

    The examples to evaluate on stay the same. CIFAR's files are shuffled, so the classes of a
    subset are about equal in number.

    Attributes:
        source: the source of the examples.
        num_train: the number of training examples to keep.

    Raises:
        ValueError: when `source` is none or `num_train` below 1; in `load`, when there are not that
            many.

    Example:
        >>> from jaxsched.data import Digits, Subset
        >>> part = Subset(Digits(), num_train=500).load()
        >>> len(part.train), len(part.test)
        (500, 304)
    """

    source: Source
    num_train: int

    def __post_init__(self):
        check_kind("Subset", "source", self.source, Source)
        check_whole("Subset", "num_train", self.num_train)

    @property
    def augment(self) -> Augment:
        """The augmentation of the source."""
        return self.source.augment

    @property
    def known_num_train(self) -> int:
        """See `Source.known_num_train`."""
        return self.num_train

    def described(self, num_train: int | None = None) -> Dataset | None:
        """See `Source.described`."""
        return self.source.described(self.num_train if num_train is None else num_train)

    def load(self) -> Dataset:
        """Loads the source and drops the other training examples."""
        whole = self.source.load()
        if self.num_train > len(whole.train):
            raise ValueError(
                f"Subset needs num_train within 1 … {len(whole.train)}, the number of training "
                f"examples of {whole.name}, got {self.num_train}."
            )
        return replace(whole, train=_first(whole.train, self.num_train))


def _first(examples: Examples | StreamedExamples, count: int) -> Examples | StreamedExamples:
    return examples.first(count) if isinstance(examples, Examples) else _First(examples, count)


class _First(StreamedExamples):
    """The first examples of a split."""

    def __init__(self, whole: StreamedExamples, count: int):
        self._whole, self._count = whole, count

    def __len__(self) -> int:
        return self._count

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """See `StreamedExamples.elements`."""
        return self._whole.elements

    def read(self, example: int, random: np.random.Generator | None) -> tuple[Any, ...]:
        """See `StreamedExamples.read`."""
        return self._whole.read(example, random)

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedExamples.fingerprint`."""
        return {**self._whole.fingerprint(), "examples": self._count}
