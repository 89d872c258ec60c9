"""Numbers and small tables as text.

text_of               a value, short and safe in a file name
title                 an identifier as words
join_names            names as words, of many only the first ones
format_values         several values with their names
to_seven_digits       a float32 without its rounding error
first_to_last         how a quantity changes
mean_and_sd           a share's mean ± standard deviation, in per cent
aligned_columns       a table for a terminal
visible               a text of others, without characters that command a terminal
markdown_text         a text of others in Markdown
markdown_rows         a table in Markdown
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def text_of(value: Any) -> str:
    """Formats a value as briefly as possible, in characters that are safe in a file name.

    A float is written with the fewest digits that give the same float back. In any other value
    each character that is not a letter, a digit, "-", "_" or "." becomes "_".

    Args:
        value: a number, or anything that `str` takes.

    Example:
        >>> from jaxsched.text import text_of
        >>> [text_of(value) for value in (1e-4, 3.16e-5, 0.9, 0.0, 128, 1e20, "l2")]
        ['1e-4', '3.16e-5', '0.9', '0', '128', '1e20', 'l2']
    """
    if isinstance(value, float):
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        if 0 < abs(value) < 0.01:
            # `g` writes 0.0001 for 1e-4. Take the fewest digits that give this very float back.
            digits = (f"{value:.{count}e}" for count in range(18))
            text = next(text for text in digits if float(text) == value)
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else text  # e-4 instead of e-04
    safe = (letter if letter.isalnum() or letter in "-_." else "_" for letter in str(value))
    return "".join(safe)


def title(name: str) -> str:
    """Writes an identifier as words.

    Example:
        >>> from jaxsched.text import title
        >>> title("weight_decay")
        'weight decay'
    """
    return name.replace("_", " ")


def join_names(names: Sequence[str], most: int | None = None, rest: str = "more") -> str:
    """Writes names as words.

    Args:
        names: the names, at least one.
        most: of more than one name beyond so many only these are written, and the others counted.
        rest: what the others are called.

    Example:
        >>> from jaxsched.text import join_names
        >>> join_names(["a", "b", "c", "d"], most=3), join_names(["a", "b", "c", "d", "e"], most=3)
        ('a, b, c and d', 'a, b, c and 2 more')
    """
    if most is not None and len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} {rest}"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def format_values(values: Mapping[str, Any]) -> str:
    """Formats values with their names, separated by commas.

    Args:
        values: the values by name.

    Example:
        >>> from jaxsched.text import format_values
        >>> format_values({"weight_decay": 1e-4, "momentum": 0.9})
        'weight decay 1e-4, momentum 0.9'
    """
    return ", ".join(f"{title(name)} {text_of(value)}" for name, value in values.items())


def to_seven_digits(value: float) -> float:
    """Rounds to seven significant digits, which is all that a float32 holds.

    Example:
        >>> import numpy as np
        >>> from jaxsched.text import to_seven_digits
        >>> float(np.float32(0.1)), to_seven_digits(np.float32(0.1))
        (0.10000000149011612, 0.1)
    """
    return float(f"{value:.7g}")


def first_to_last(values: np.ndarray) -> str:
    """Formats the first and the last value with an arrow between, or one if they look the same.

    Args:
        values: f[2]; the first and the last value of a quantity.

    Example:
        >>> import numpy as np
        >>> from jaxsched.text import first_to_last
        >>> first_to_last(np.array([0.1, 0.001])), first_to_last(np.array([0.1, 0.1]))
        ('0.1 → 0.001', '0.1')
    """
    texts = dict.fromkeys(f"{to_seven_digits(value):.4g}" for value in values)
    return " → ".join(texts)


def mean_and_sd(mean: float | None, sd: float | None) -> str:
    """Formats a mean ± standard deviation in per cent.

    Args:
        mean: a share, such as an accuracy within [0, 1]; None gives "none".
        sd: its standard deviation; None, as for a single run, leaves it out.

    Example:
        >>> from jaxsched.text import mean_and_sd
        >>> mean_and_sd(0.935, 0.0012), mean_and_sd(0.935, None)
        ('93.50 ± 0.12', '93.50')
    """
    if mean is None:
        return "none"
    return f"{100 * mean:.2f}" if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f}"


def aligned_columns(rows: Sequence[Sequence[str]]) -> str:
    """Aligns rows of cells in columns for a terminal, without a newline at the end.

    The first column is aligned to the left and the others to the right.

    Args:
        rows: the cells of each row, equally many in each.

    Example:
        >>> from jaxsched.text import aligned_columns
        >>> print(aligned_columns([["run", "updates"], ["cosine", "90"]]))
        run     updates
        cosine       90
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])])
        for first, *others in rows
    )


def visible(text: str) -> str:
    """Writes characters that command a terminal, or that no file can hold, as their escapes.

    These are control characters but newlines and tabs, marks that change the direction of writing,
    and halves of surrogate pairs.

    Example:
        >>> from jaxsched.text import visible
        >>> print(visible(f"red: {chr(27)}[31m"))
        red: \\x1b[31m
    """
    if text.isprintable():
        return text
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def markdown_text(text: str) -> str:
    """Writes a text of others on one line of Markdown, in which it is no tag, link or column.

    Example:
        >>> from jaxsched.text import markdown_text
        >>> markdown_text("<b>p < 0.05</b>")
        '&lt;b>p < 0.05&lt;/b>'
    """
    line = " ".join(text.split("\n")).replace("|", "\\|").replace("](", "]\\(")
    # A "<" before a number is no tag.
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line)


def markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    """Writes rows of cells as a Markdown table, with a newline after each row.

    The first column is aligned to the left and the others to the right.

    Args:
        rows: the cells of each row, equally many in each; the first row is the heading.

    Example:
        >>> from jaxsched.text import markdown_rows
        >>> print(markdown_rows([["run", "updates"], ["cosine", "90"]]), end="")
        | run | updates |
        | --- | ---: |
        | cosine | 90 |
    """
    heading, *body = rows
    rule = ("---", *["---:"] * (len(heading) - 1))
    lines = [map(markdown_text, heading), rule, *(map(markdown_text, row) for row in body)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
