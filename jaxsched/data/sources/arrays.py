"""Arrays of the user's own as a source of data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxsched.data.dataset import Dataset, Examples, Source
from jaxsched.data.split import check_share, evenly_spread, last_of_each_class
from jaxsched.identity import BY_CONTENT, Identified

# What JAX makes of these dtypes.
_NARROWED = {"float64": "float32", "int64": "int32", "uint64": "int32", "uint32": "int32"}
_FINE = "biuf"  # bool, whole numbers, real numbers


@dataclass(frozen=True, eq=False)
class Arrays(Identified, Source):
    """Examples in arrays: one or several inputs and then the targets, each [N, …].

    Everything that NumPy can make an array of will do, also on a GPU. Numbers of 64 bits become
    those of 32, as in JAX. A uint8 input reaches the network as float32, divided by 255; all others
    as they are. Two sources are equal if their arrays hold the same.

    Attributes:
        train: the examples to train on: (x, y), or (x, mask, y) for a network of two inputs.
        test: the examples to evaluate on; None holds out a share of `train`.
        validation: the share of `train` to evaluate on instead of `test`: the last examples of each
            class, or evenly spread ones if the targets are no classes.

    Raises:
        ValueError: when there is nothing to evaluate on, or an array has no numbers, no examples,
            another number of examples than the others, NaN or infinity; names the array.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import Arrays
        >>> x, y = np.random.normal(size=(50, 3)), np.arange(50) % 2
        >>> data = Arrays((x, y), validation=0.2).load()
        >>> len(data.train), len(data.test), data.train.arrays[0].dtype
        (40, 10, dtype('float32'))
    """

    train: tuple[np.ndarray, ...] = field(metadata=BY_CONTENT, repr=False)
    test: tuple[np.ndarray, ...] | None = field(default=None, metadata=BY_CONTENT, repr=False)
    validation: float = 0.0

    def __post_init__(self):
        check_share("Arrays", self.validation)
        object.__setattr__(self, "train", checked_arrays("train", self.train))
        if self.test is not None:
            object.__setattr__(self, "test", checked_arrays("test", self.test))
            _require_alike(self.train, self.test)
        elif self.validation == 0:
            raise ValueError(
                "Arrays needs examples to evaluate on, got test=None and validation=0; give "
                "test=(x, y), or validation=0.1 to hold out a tenth of train."
            )

    def load(self) -> Dataset:
        """Splits the arrays; they are not copied unless a share is held out."""
        if self.validation == 0:
            assert self.test is not None
            return Dataset("arrays", ArrayExamples(*self.train), ArrayExamples(*self.test), "test")
        held = _held_out(self.train[-1], self.validation)
        if held.all() or not held.any():
            raise ValueError(
                f"Arrays needs validation to leave examples on both sides, got {self.validation} "
                f"of {len(held)} examples; give more examples, or test=(x, y)."
            )
        kept, out = (ArrayExamples(*(a[which] for a in self.train)) for which in (~held, held))
        return Dataset("arrays", kept, out, "validation")


class ArrayExamples(Examples):
    """Examples in arrays of any kind.

    Args:
        *arrays: each [N, …].
    """

    def __init__(self, *arrays: np.ndarray):
        self._arrays = arrays

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """See `Examples.arrays`."""
        return self._arrays


def _held_out(targets: np.ndarray, share: float) -> np.ndarray:
    """Marks the examples to evaluate on, bool[N]."""
    if targets.ndim == 1 and targets.dtype.kind in "biu":
        return last_of_each_class(targets, share)
    return evenly_spread(len(targets), share)


def checked_arrays(name: str, arrays: Any) -> tuple[np.ndarray, ...]:
    """Returns inputs and targets as arrays that JAX takes as they are.

    Args:
        name: what they are, for messages.
        arrays: a tuple of what NumPy makes arrays of.

    Raises:
        ValueError: names the array and what is wrong with it.
    """
    if not isinstance(arrays, tuple | list) or len(arrays) < 2:
        raise ValueError(
            f"{name} needs inputs and targets, as in {name}=(x, y), got {_shown(arrays)}."
        )
    names = [*(f"x{i}" for i in range(len(arrays) - 1)), "y"] if len(arrays) > 2 else ["x", "y"]
    found = [
        _checked(f"{part} of {name}", array) for part, array in zip(names, arrays, strict=True)
    ]
    counts = {part: len(array) for part, array in zip(names, found, strict=True)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} in {part}" for part, count in counts.items())
        raise ValueError(f"{name} needs arrays with the same number of examples, got {listed}.")
    return tuple(found)


def checked_inputs(
    inputs: Sequence[Any], elements: Sequence[jax.ShapeDtypeStruct]
) -> tuple[np.ndarray, ...]:
    """Returns new inputs as arrays like those of training.

    Args:
        inputs: what NumPy makes arrays of.
        elements: the parts of an example in training, the targets last.

    Raises:
        ValueError: names the input and what was expected.
    """
    if len(inputs) != len(elements) - 1:
        raise ValueError(
            f"predict needs {len(elements) - 1} inputs, as many as in training, got {len(inputs)}."
        )
    found = [_checked(f"x{number}" if number else "x", x) for number, x in enumerate(inputs)]
    for array, like in zip(found, elements, strict=False):
        if (array.shape[1:], array.dtype) != (like.shape, like.dtype):
            raise ValueError(
                f"predict needs inputs {_shape(like.dtype, like.shape)}, as in training, got "
                f"{_shape(array.dtype, array.shape[1:])}."
            )
    return tuple(found)


def _shape(dtype: Any, shape: tuple[int, ...]) -> str:
    return f"{dtype}[{', '.join(map(str, ('N', *shape)))}]"


def _checked(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # rows of different lengths, a tensor on a GPU
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{name} needs to be an array of numbers: {reason}.") from error
    if array.dtype.kind not in _FINE and array.dtype.name != "bfloat16":
        advice = "; np.unique(y, return_inverse=True)[1] numbers classes" if name[0] == "y" else ""
        raise ValueError(
            f"{name} needs numbers, got an array of {_kind(array)}, {_shown(value)}; convert it "
            f"first, such as by .astype(np.float32){advice}."
        )
    if array.ndim == 0 or len(array) == 0 or array.size == 0:
        raise ValueError(
            f"{name} needs examples along its first axis, got shape {list(array.shape)}."
        )
    return _narrowed(name, array)


def _narrowed(name: str, array: np.ndarray) -> np.ndarray:
    """Returns the array with the dtype that JAX gives it; refuses what that or training spoils."""
    if array.dtype.kind == "f":
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name} needs finite numbers, got NaN or infinity in {bad.sum()} of {len(array)} "
                f"examples, first in example {bad.argmax()}; leave these out, or fill them in."
            )
    narrow = _NARROWED.get(array.dtype.name)
    if narrow is None:
        return array
    info: Any = np.finfo(narrow) if narrow.startswith("f") else np.iinfo(narrow)
    if array.min() < info.min or array.max() > info.max:
        raise ValueError(
            f"{name} needs numbers within {narrow}, got {array.dtype} up to "
            f"{max(array.max(), -array.min())}; scale them."
        )
    return array.astype(narrow)


def _require_alike(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> None:
    """Raises a ValueError if examples of the two splits differ in shapes or dtypes."""
    kinds = [[_shape(array.dtype, array.shape[1:]) for array in s] for s in (train, test)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            "train and test need examples of the same shapes and dtypes, got "
            f"{' and '.join(kinds[0])} in train, {' and '.join(kinds[1])} in test."
        )


def _kind(array: np.ndarray) -> str:
    kinds = {"O": "objects", "U": "text", "S": "bytes", "M": "dates", "c": "complex numbers"}
    return kinds.get(array.dtype.kind, str(array.dtype))


def _shown(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
