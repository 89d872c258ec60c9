"""A part of another source: fewer examples of the same images."""

from dataclasses import dataclass, replace

import numpy as np

from jaxsched.data.dataset import Dataset, Images, Records, Source


@dataclass(frozen=True)
class Subset(Source):
    """The first training examples of another source, in file order; it is evaluated on as before.

    CIFAR's files are shuffled, so that classes come out about even.

    Attributes:
        source: whose examples.
        num_train: how many training examples to keep.

    Raises:
        ValueError: when there are not that many.

    Example:
        >>> from jaxsched.data import Digits, Subset
        >>> part = Subset(Digits(), num_train=500).load()
        >>> len(part.train), len(part.test)
        (500, 304)
    """

    source: Source
    num_train: int

    def load(self) -> Dataset:
        """Loads the source and drops the rest."""
        whole = self.source.load()
        if not 1 <= self.num_train <= len(whole.train):
            raise ValueError(
                f"Subset needs num_train within 1 … {len(whole.train)}, what {whole.name} has to "
                f"train on, got {self.num_train}."
            )
        return replace(whole, train=_first(whole.train, self.num_train))


def _first(examples: Images | Records, count: int) -> Images | Records:
    if isinstance(examples, Images):
        return Images(examples.images[:count], examples.labels[:count])
    return _First(examples, count)


class _First(Records):
    """The first examples of a split."""

    def __init__(self, records: Records, count: int):
        self._records, self._count = records, count

    def __len__(self) -> int:
        return self._count

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._records.image_shape

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """See `Records.read`."""
        return self._records.read(example, random)
