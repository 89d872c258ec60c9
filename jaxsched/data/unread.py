"""A data set without its examples: what a trained network needs in order to be used."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxsched.data.dataset import Examples, StreamedExamples


@dataclass(frozen=True)
class UnreadExamples(StreamedExamples):
    """The number, shapes and dtypes of examples that are not there.

    Attributes:
        count: the number of examples.
        parts: the dtype and the shape of each part of an example.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.data.unread import UnreadExamples
        >>> UnreadExamples.of(Synthetic(num_train=20).load().train)
        UnreadExamples(count=20, parts=(('uint8', (32, 32, 3)), ('int32', ())))
    """

    count: int
    parts: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, examples: Examples | StreamedExamples) -> "UnreadExamples":
        """Returns the number, shapes and dtypes of these examples."""
        parts = ((np.dtype(e.dtype).name, tuple(e.shape)) for e in examples.elements)
        return cls(len(examples), tuple(parts))

    def __len__(self) -> int:
        return self.count

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """See `StreamedExamples.elements`."""
        return tuple(jax.ShapeDtypeStruct(shape, dtype) for dtype, shape in self.parts)

    def read(self, example: int, random: np.random.Generator | None) -> tuple[Any, ...]:
        """Raises a `ValueError`, because there is nothing to read."""
        raise ValueError(
            "the examples of this data set are not there, because it comes from a checkpoint; load "
            "them by experiment.task.data.load()."
        )
