"""Tables and lists that fit a terminal of any width, in which no name and no number is cut.

fitted_table   rows of cells
bullet_list    sentences, each from a line of its own
paragraph      a text
"""

import re
import textwrap
from collections.abc import Sequence
from typing import TypeAlias

_GAP = "  "
_INDENT = "  "
_LEAST_PROSE = 16  # a narrower column of prose is hard to read
# An interval, a relation to a number: no line ends within these.
_HELD = re.compile(r"\[[^\[\]]{,30}\]| [=<>±] [^ ]+")
_HOLD = "\N{NO-BREAK SPACE}"
_Row: TypeAlias = Sequence[str]


def fitted_table(rows: Sequence[_Row], width: int, *, prose: Sequence[str] = ()) -> str:
    """Lays out a table of at most this width, without a newline at the end.

    One that is too wide is folded as little as makes it fit: first headings and columns of prose
    go over several lines, then the first column gets lines of its own, and at last each row is a
    block with a line for each cell. Only a single word that is longer than the width stays longer.

    Args:
        rows: the cells of each row, equally many in each; the first row is the heading. The first
            column is aligned to the left and the others to the right.
        width: the terminal's width in characters.
        prose: the headings of the columns of words, which are aligned to the left and may be
            folded at their spaces.

    Example:
        >>> from jaxsched.text_table import fitted_table
        >>> rows = [["run", "updates", "final accuracy"], ["warmup_cosine", "1,234", "96.4 ± 0.1"]]
        >>> print(fitted_table(rows, 80))
        run            updates  final accuracy
        ─────────────  ───────  ──────────────
        warmup_cosine    1,234      96.4 ± 0.1
        >>> print(fitted_table(rows, 24))
        run
          updates       final
                     accuracy
          ───────  ──────────
        warmup_cosine
            1,234  96.4 ± 0.1
        >>> print(fitted_table(rows, 20))
        warmup_cosine
          updates: 1,234
          final accuracy:
            96.4 ± 0.1
    """
    is_prose = [heading in prose for heading in rows[0]]
    if widths := _widths(rows, is_prose, width):
        return "\n".join(_in_columns(rows, is_prose, widths))
    others = [row[1:] for row in rows]
    if others[0] and (widths := _widths(others, is_prose[1:], width - len(_INDENT))):
        return "\n".join(_under_names(rows, is_prose[1:], widths))
    return "\n".join(_in_blocks(rows, width))


def bullet_list(sentences: Sequence[str], width: int) -> str:
    """Writes sentences one below the other, each after a dash, without a newline at the end.

    Args:
        sentences: the sentences.
        width: the terminal's width in characters.

    Example:
        >>> from jaxsched.text_table import bullet_list
        >>> print(bullet_list(["a has one run (n = 1).", "b failed."], 20))
        - a has one run
          (n = 1).
        - b failed.
    """
    return "\n".join(
        line for text in sentences for line in _fold(f"- {text}", width, indent=_INDENT)
    )


def paragraph(text: str, width: int) -> str:
    """Folds a text at its spaces, without a newline at the end."""
    return "\n".join(_fold(text, width))


def _widths(rows: Sequence[_Row], is_prose: Sequence[bool], room: int) -> list[int] | None:
    """The widths of the columns within this room, as wide as they can be; None if too narrow."""
    columns = list(zip(*rows, strict=True))
    room -= len(_GAP) * (len(columns) - 1)
    whole = [max(map(len, column)) for column in columns]
    if sum(whole) <= room:
        return whole
    widths = [
        min(most, max(_LEAST_PROSE, *map(_longest_word, cells)))
        if folds
        else max(_longest_word(cells[0]), *map(len, cells[1:]), 0)
        for cells, most, folds in zip(columns, whole, is_prose, strict=True)
    ]
    # What is left goes to prose, and then to headings.
    for number in sorted(range(len(widths)), key=lambda n: not is_prose[n]):
        spare = room - sum(widths)
        widths[number] += max(0, min(spare, whole[number] - widths[number]))
    if sum(widths) > room:
        return None
    return [
        max(len(line) for cell in cells for line in _fold(cell, width))
        for cells, width in zip(columns, widths, strict=True)
    ]


def _in_columns(rows: Sequence[_Row], is_prose: Sequence[bool], widths: Sequence[int]) -> list[str]:
    """A line or more for each row, its first cell to the left."""
    sides = [True, *is_prose[1:]]
    heading, *others = ([*_lines(row, sides, widths)] for row in rows)
    return [*heading, _rule(widths), *(line for lines in others for line in lines)]


def _under_names(
    rows: Sequence[_Row], is_prose: Sequence[bool], widths: Sequence[int]
) -> list[str]:
    """Each row's first cell on a line of its own, the others below it in columns."""
    heading, *others = (
        [
            *([row[0]] if row[0] else []),
            *(_INDENT + line for line in _lines(row[1:], is_prose, widths)),
        ]
        for row in rows
    )
    return [*heading, _INDENT + _rule(widths), *(line for lines in others for line in lines)]


def _in_blocks(rows: Sequence[_Row], width: int) -> list[str]:
    """Each row's first cell on a line of its own, and a line for each other cell that has text."""
    (_, *names), *others = rows
    return [
        line
        for row in others
        for line in (
            row[0],
            *(
                _INDENT + line
                for name, cell in zip(names, row[1:], strict=True)
                if cell
                for line in _pair(name, cell, width - len(_INDENT))
            ),
        )
    ]


def _pair(name: str, cell: str, width: int) -> list[str]:
    """A cell after its column's name; below it where both are too long for a line."""
    both = f"{name}: {cell}" if name else cell
    if len(both) <= width:
        return [both]
    room = width - len(_INDENT)
    return [*_fold(f"{name}:", width), *(_INDENT + line for line in _fold(cell, room))]


def _lines(row: _Row, to_the_left: Sequence[bool], widths: Sequence[int]) -> list[str]:
    """A row's lines, as many as its highest cell has."""
    cells = [_fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, cells))
    padded = [[*lines, *[""] * (height - len(lines))] for lines in cells]
    return [
        _GAP.join(
            part.ljust(width) if left else part.rjust(width)
            for part, left, width in zip(parts, to_the_left, widths, strict=True)
        ).rstrip()
        for parts in zip(*padded, strict=True)
    ]


def _rule(widths: Sequence[int]) -> str:
    return _GAP.join("─" * width for width in widths)


def _fold(text: str, width: int, indent: str = "") -> list[str]:
    """Folds a text at its spaces, never within a word, an interval or a relation to a number."""
    lines = textwrap.wrap(
        _held(text),
        max(width, 1),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_HOLD, " ") for line in lines] or [""]


def _held(text: str) -> str:
    return _HELD.sub(lambda found: found[0].replace(" ", _HOLD), text)


def _longest_word(text: str) -> int:
    return max(map(len, _held(text).split(" ")))
