"""A subset of the training examples of another source."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxsched.data.dataset import Dataset, Images, Source, StreamedImages
from jaxsched.data.fields import check_kind, check_whole


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

    def load(self) -> Dataset:
        """Loads the source and drops the other training examples."""
        whole = self.source.load()
        if self.num_train > len(whole.train):
            raise ValueError(
                f"Subset needs num_train within 1 … {len(whole.train)}, the number of training "
                f"examples of {whole.name}, got {self.num_train}."
            )
        return replace(whole, train=_first(whole.train, self.num_train))


def _first(examples: Images | StreamedImages, count: int) -> Images | StreamedImages:
    if isinstance(examples, Images):
        return Images(examples.images[:count], examples.labels[:count])
    return _First(examples, count)


class _First(StreamedImages):
    """The first examples of a split."""

    def __init__(self, whole: StreamedImages, count: int):
        self._whole, self._count = whole, count

    def __len__(self) -> int:
        return self._count

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._whole.image_shape

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """See `StreamedImages.read`."""
        return self._whole.read(example, random)

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedImages.fingerprint`."""
        return {**self._whole.fingerprint(), "examples": self._count}
