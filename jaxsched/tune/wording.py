"""Values in words and in names. Knows no JAX."""

from collections.abc import Mapping
from typing import Any


def text_of(value: Any) -> str:
    """A value as short as it can be said, in letters that a file's name may have.

    Example:
        >>> from jaxsched.tune.wording import text_of
        >>> [text_of(value) for value in (1e-4, 3.16e-5, 0.9, 0.0, 128, 1e20, "l2")]
        ['1e-4', '3.16e-5', '0.9', '0', '128', '1e20', 'l2']
    """
    if isinstance(value, float):
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        if 0 < abs(value) < 0.01:
            # The fewest digits that are this very number.
            digits = (f"{value:.{count}e}" for count in range(18))
            text = next(text for text in digits if float(text) == value)
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else text
    allowed = (letter if letter.isalnum() or letter in "-_." else "_" for letter in str(value))
    return "".join(allowed)


def said(values: Mapping[str, Any]) -> str:
    """Values by name, in words.

    Example:
        >>> from jaxsched.tune.wording import said
        >>> said({"weight_decay": 1e-4, "momentum": 0.9})
        'weight decay 1e-4, momentum 0.9'
    """
    return ", ".join(f"{title(name)} {text_of(value)}" for name, value in values.items())


def title(name: str) -> str:
    """The name of a value, in words."""
    return name.replace("_", " ")
