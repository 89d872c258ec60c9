"""Reads an iterable of batches into memory, once."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def arrays_of_batches(
    name: str, batches: Iterable[Any] | Callable[[], Iterable[Any]]
) -> tuple[np.ndarray, ...]:
    """Reads batches to their end and joins them along their first axis.

    A run visits examples in an order of its own, at any batch size, and can be resumed, for which
    an iterable would have to be rewound. So its batches are read once; how it shuffles, augments
    and cuts does not count.

    Args:
        name: what the batches are, for messages.
        batches: a list, a PyTorch `DataLoader`, an iterator such as
            `tf.data.Dataset.as_numpy_iterator()`, or a function that returns one of these. Each
            batch is a tuple of arrays: one or several inputs and the targets.

    Raises:
        ValueError: when a batch is no such tuple or unlike the others, there is none, or they would
            take half of the machine's memory, as those of an iterable without end.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data.sources.batches import arrays_of_batches
        >>> batches = ((np.ones((size, 3)), np.zeros(size, int)) for size in (4, 4, 2))
        >>> [array.shape for array in arrays_of_batches("train", batches)]
        [(10, 3), (10,)]
    """
    parts: list[tuple[np.ndarray, ...]] = []
    left = _half_of_memory()
    for number, batch in enumerate(batches() if callable(batches) else batches):
        parts.append(_checked(f"batch {number} of {name}", batch, parts[0] if parts else None))
        left -= sum(array.nbytes for array in parts[-1])
        if left < 0:
            raise ValueError(
                f"{name} needs batches that fit in half of the machine's memory, got {number + 1} "
                "that do not; end them, as itertools.islice does, or write a "
                "jaxsched.data.Source that reads example by example."
            )
    if not parts:
        raise ValueError(f"{name} needs batches, got none; an iterator can be read only once.")
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _checked(name: str, batch: Any, first: tuple[np.ndarray, ...] | None) -> tuple[np.ndarray, ...]:
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        what, fix = f"a {type(batch).__name__}", "give whole arrays as a tuple, (x, y)"
        if isinstance(batch, dict):
            what = f"a dict with {sorted(batch)}"
            fix = 'give a generator, such as ((b["image"], b["label"]) for b in batches)'
        raise ValueError(f"{name} needs to be a tuple of inputs and targets, got {what}; {fix}.")
    arrays = tuple(map(np.asarray, batch))
    shapes = [list(array.shape) for array in arrays]
    if any(array.ndim == 0 for array in arrays) or len({len(array) for array in arrays}) > 1:
        raise ValueError(f"{name} needs arrays with one row an example, got the shapes {shapes}.")
    if first is not None and [a.shape[1:] for a in arrays] != [a.shape[1:] for a in first]:
        raise ValueError(
            f"{name} needs examples like those of the first batch, got the shapes {shapes} after "
            f"{[list(array.shape) for array in first]}."
        )
    return arrays


def _half_of_memory() -> int:
    """Half of the bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
