"""Numbers and configs of any framework as JSON. Imports no JAX."""

import math
import operator
from collections.abc import Mapping
from typing import Any


def plain_number(name: str, value: Any) -> float | int | str:
    """Returns a number as JSON has it; one that is not finite as text, such as "nan".

    Args:
        name: whose value it is, for the message.
        value: a number, or an array or a tensor with one element.

    Raises:
        ValueError: if it is something else; names it.

    Example:
        >>> import numpy as np
        >>> from jaxsched.tracking.plain import plain_number
        >>> plain_number("test_loss", np.float32(0.5)), plain_number("test_loss", float("inf"))
        (0.5, 'inf')
    """
    try:
        found = value.item() if hasattr(value, "item") else value
        if isinstance(found, bool | str):
            raise TypeError
        found = operator.index(found) if hasattr(found, "__index__") else float(found)
    except (TypeError, ValueError, RuntimeError) as error:  # such as an array of several elements
        raise ValueError(
            f"expected a number as {name}, got {type(value).__name__} {value!r:.40}"
        ) from error
    return found if isinstance(found, int) or math.isfinite(found) else str(found)


def plain_config(value: Any, where: str) -> Any:
    """Returns a config as JSON has it.

    Args:
        value: text, numbers, booleans, None, and lists and dicts of these.
        where: its place, for the message.

    Raises:
        ValueError: if it holds something else; names the place.

    Example:
        >>> from jaxsched.tracking.plain import plain_config
        >>> plain_config({"lr": 0.1, "sizes": (8, 16)}, "config")
        {'lr': 0.1, 'sizes': [8, 16]}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain_config(entry, f"{where}.{name}") for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_config(entry, f"{where}[{n}]") for n, entry in enumerate(value)]
    try:
        return plain_number(where, value)
    except ValueError as error:
        raise ValueError(f"{error}; write it as text, a number, a list or a dict") from error
