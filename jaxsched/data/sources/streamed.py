"""A source whose images stay in host memory and go to the devices batch by batch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxsched.data.dataset import Dataset, Images, Source, StreamedImages
from jaxsched.data.fields import check_kind


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

    def load(self) -> Dataset:
        """Loads the source; its images are streamed from host memory."""
        whole = self.source.load()
        return replace(whole, train=_stream(whole.train), test=_stream(whole.test))


def _stream(examples: Images | StreamedImages) -> StreamedImages:
    return _InMemory(examples) if isinstance(examples, Images) else examples


class _InMemory(StreamedImages):
    """A split in host memory, read image by image."""

    def __init__(self, images: Images):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self._images.image_shape

    def read(self, example: int, random: np.random.Generator | None) -> tuple[np.ndarray, np.int32]:
        """See `StreamedImages.read`."""
        del random
        return self._images.images[example], self._images.labels[example]

    def fingerprint(self) -> dict[str, Any]:
        """See `StreamedImages.fingerprint`; it is the same as without `Streamed`."""
        return self._images.fingerprint()
