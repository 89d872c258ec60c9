"""Finds the fields in which two experiments differ."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yields each field in which two descriptions differ, with both values.

    Args:
        before: a description of an experiment, as `describe` makes it.
        after: another one.
        path: the prefix of the fields' names.

    Example:
        >>> from jaxsched.experiment import differences
        >>> list(differences({"lr": {"peak": 0.1}, "seed": 0}, {"lr": {"peak": 0.2}, "seed": 0}))
        ['lr.peak: 0.1 -> 0.2']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            field = f"{path}.{name}" if path else str(name)
            yield from differences(before.get(name), after.get(name), field)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}.{index}")
    elif before != after:
        yield f"{path}: {before} -> {after}"
