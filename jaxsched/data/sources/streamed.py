"""A source whose images stay in the host's memory and go to the devices batch by batch."""

from dataclasses import dataclass, replace

import numpy as np

from jaxsched.data.dataset import Dataset, Images, Records, Source


@dataclass(frozen=True)
class Streamed(Source):
    """Another source, streamed: for a set that fits the host's memory but not the devices'.

    A run is the same as without, to the last bit, but for a batch a dispatch and its way to the
    device.

    Attributes:
        source: whose examples.

    Example:
        >>> from jaxsched.data import Digits, Images, Streamed
        >>> isinstance(Streamed(Digits()).load().train, Images)
        False
    """

    source: Source

    def load(self) -> Dataset:
        """Loads the source, and gives its images as records."""
        whole = self.source.load()
        return replace(whole, train=_as_records(whole.train), test=_as_records(whole.test))


def _as_records(examples: Images | Records) -> Records:
    return _InMemory(examples) if isinstance(examples, Images) else examples


class _InMemory(Records):
    """A split in host memory, read as if it were not."""

    def __init__(self, images: Images):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._images.image_shape

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """Looks it up; see `Records.read`."""
        del random
        return self._images.images[example], self._images.labels[example]
