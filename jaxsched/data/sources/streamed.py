"""A source whose examples stay in host memory and go to the devices batch by batch."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxsched.data.dataset import Dataset, Examples, Source, StreamedExamples
from jaxsched.data.fields import check_kind
from jaxsched.data.transforms.augment import Augment


@dataclass(frozen=True)
class Streamed(Source):
    """Streams another source: for a set that fits into host memory but not into the devices'.

    A run gives the same result as without `Streamed`, to the last bit, but it is slower: each batch
    is sent to the devices, and each update is a dispatch of its own.

    Attributes:
        source: the source of the examples.

    Raises:
        ValueError: when `source` is none.

    Example:
        >>> from jaxsched.data import Digits, Images, Streamed
        >>> isinstance(Streamed(Digits()).load().train, Images)
        False
    """

    source: Source

    def __post_init__(self):
        check_kind("Streamed", "source", self.source, Source)

    @property
    def augment(self) -> Augment:
        """The augmentation of the source."""
        return self.source.augment

    @property
    def known_num_train(self) -> int | None:
        """The number that the source knows."""
        return self.source.known_num_train

    def described(self, num_train: int | None = None) -> Dataset | None:
        """See `Source.described`."""
        whole = self.source.described(num_train)
        return whole and whole.without_examples()

    def load(self) -> Dataset:
        """Loads the source; its examples are streamed from host memory."""
        whole = self.source.load()
        return replace(whole, train=_stream(whole.train), test=_stream(whole.test))


def _stream(examples: Examples | StreamedExamples) -> StreamedExamples:
    return _InMemory(examples) if isinstance(examples, Examples) else examples


class _InMemory(StreamedExamples):
    """A split in host memory, read example by example."""

    def __init__(self, examples: Examples):
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """See `StreamedExamples.elements`."""
        return self._examples.elements

    def read(self, example: int, random: np.random.Generator | None) -> tuple[Any, ...]:
        """See `StreamedExamples.read`."""
        del random
        return tuple(array[example] for array in self._examples.arrays)

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedExamples.fingerprint`; it is the same as without `Streamed`."""
        return self._examples.fingerprint()
