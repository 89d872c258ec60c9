"""Loaded data sets of any kind, and the base class of their sources."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, Self

import jax
import numpy as np

from jaxsched.data.fingerprint import digest
from jaxsched.data.transforms.augment import Augment


class Examples:
    """One split of a data set, held in host memory, and while it is used on the devices.

    A subclass takes its arrays as the first arguments of its constructor.
    """

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays, each [N, …]: an example is one row of all of them."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape and dtype of each part of one example."""
        return tuple(jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for a in self.arrays)

    def first(self, count: int) -> Self:
        """Returns the first `count` examples."""
        return type(self)(*(array[:count] for array in self.arrays))

    def fingerprint(self) -> dict[str, Any]:
        """Returns what identifies the examples, as JSON: their number and the arrays' digest."""
        return {"examples": len(self), "digest": digest(self.arrays)}


class StreamedExamples:
    """One split of a data set whose examples are read one by one, as they are needed.

    For data that is too large for the devices' memory. A subclass must be safe to read from several
    threads, and is pickled to be read in other processes.
    """

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def elements(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape and dtype of each part of an example, the same for all examples."""
        raise NotImplementedError

    def read(self, example: int, random: np.random.Generator | None) -> tuple[Any, ...]:
        """Reads one example.

        Args:
            example: its index, in 0 … len − 1.
            random: the generator for random crops and the like, seeded by the run's seed, the epoch
                and the example alone. None in evaluation, which is never random.

        Returns:
            Its parts, arrays of the shapes and dtypes of `elements`.

        Raises:
            ValueError: when it cannot be read; names the file or the example.
        """
        raise NotImplementedError

    def fingerprint(self) -> dict[str, Any]:
        """Returns what identifies the examples as far as it is cheap to tell, as JSON.

        A subclass adds what changes with its content, such as a digest of its files' names and
        sizes. The examples themselves need not be read.
        """
        return {"examples": len(self)}


@dataclass(frozen=True)
class UnreadExamples(StreamedExamples):
    """The number, shapes and dtypes of examples that are not there.

    Attributes:
        count: the number of examples.
        parts: the dtype and the shape of each part of an example.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.data.dataset import UnreadExamples
        >>> UnreadExamples.of(Synthetic(num_train=20).load().train)
        UnreadExamples(count=20, parts=(('uint8', (8, 8, 3)), ('int32', ())))
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


class UnreadArrays(Examples):
    """The number, shapes and dtypes of examples that `load` would hold in memory.

    Args:
        count: the number of examples.
        parts: the dtype and the shape of each part of an example.

    Example:
        >>> from jaxsched.data.dataset import UnreadArrays
        >>> examples = UnreadArrays(20, (("uint8", (8, 8, 3)), ("int32", ())))
        >>> len(examples), examples.arrays[0].shape
        (20, (20, 8, 8, 3))
    """

    def __init__(self, count: int, parts: tuple[tuple[str, tuple[int, ...]], ...]):
        self._arrays = tuple(jax.ShapeDtypeStruct((count, *shape), dtype) for dtype, shape in parts)

    @property
    def arrays(self) -> tuple[Any, ...]:
        """The shapes of the arrays, each [N, …]."""
        return self._arrays


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded data set: examples to train on and to evaluate on.

    Attributes:
        name: the name for tables, such as "CIFAR-10".
        train: the examples to train on.
        test: the examples to evaluate on. If the source holds out a validation share of its
            training examples, `test` is that share.
        evaluated_on: "test" or "validation": which of the two `test` is.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> dataset = Synthetic(num_train=20, num_test=10).load()
        >>> dataset.name, len(dataset.train), len(dataset.test), dataset.evaluated_on
        ('synthetic', 20, 10, 'test')
    """

    name: str
    train: Examples | StreamedExamples
    test: Examples | StreamedExamples
    evaluated_on: str

    def without_examples(self) -> Self:
        """Returns what a trained network needs in order to be used: all but the examples."""
        train, test = UnreadExamples.of(self.train), UnreadExamples.of(self.test)
        return dataclasses.replace(self, train=train, test=test)

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """The identity of the data, as JSON: a run goes on, and is compared, with the same only.

        It does not depend on the folder that the data lie in.
        """
        return {"train": self.train.fingerprint(), "test": self.test.fingerprint()}


class Source:
    """A description of a data set: a frozen dataclass of plain fields.

    It costs nothing until `load`, prints as the code that made it, compares, hashes, and can be
    written as JSON and set field by field from a command line.

    Example:
        >>> from jaxsched.data import Digits
        >>> Digits(validation=0.1)
        Digits(validation=0.1)
    """

    @property
    def augment(self) -> Augment:
        """The augmentation that suits its images, unless a task gives another; none by default."""
        return Augment(pad=0, flip=False)

    @property
    def known_num_train(self) -> int | None:
        """The number of training examples, or None where only `load` can tell it.

        It is all that a plan needs: with it a run can be previewed where its data are not.
        """
        return None

    def described(self, num_train: int | None = None) -> Dataset | None:
        """Returns the data set with shapes for examples, or None where only `load` can tell them.

        It is all that a program is compiled from, so that this needs no data.

        Args:
            num_train: the number of training examples; by default the source's own.
        """
        del num_train
        return None

    def load(self) -> Dataset:
        """Loads the data set; an error names the file that is missing or damaged."""
        raise NotImplementedError
