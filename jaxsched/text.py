"""Numbers and small tables as text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def text_of(value: Any) -> str:
    """A value as short as it can be said, in letters that a file's name may have.

    Example:
        >>> from jaxsched.text import text_of
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


def format_values(values: Mapping[str, Any]) -> str:
    """Values by name, in words.

    Example:
        >>> from jaxsched.text import format_values
        >>> format_values({"weight_decay": 1e-4, "momentum": 0.9})
        'weight decay 1e-4, momentum 0.9'
    """
    return ", ".join(f"{title(name)} {text_of(value)}" for name, value in values.items())


def title(name: str) -> str:
    """The name of a value, in words."""
    return name.replace("_", " ")


def aligned_columns(rows: list[list[str]]) -> str:
    """The rows as lines, in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])])
        for first, *others in rows
    )


def first_to_last(values: np.ndarray) -> str:
    """First and last value as text; one where they read alike."""
    texts = dict.fromkeys(f"{to_seven_digits(value):.4g}" for value in values)
    return " → ".join(texts)


def markdown_rows(cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first row is the heading, all columns but the first stand right."""
    columns, *rows = cells
    lines = [columns, ("---", *["---:"] * (len(columns) - 1)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def mean_and_sd(mean: float | None, sd: float | None) -> str:
    """Mean ± sd in per cent, as far as they are known."""
    if mean is None:
        return "none"
    return f"{100 * mean:.2f}" if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f}"


def to_seven_digits(value: float) -> float:
    """To seven digits, all that float32 has: its 0.1 is 0.1 again."""
    return float(f"{value:.7g}")
