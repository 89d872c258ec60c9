"""Tables of any content fit any width, and nothing in them is cut."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.text_table import bullet_list, fitted_table

words = st.text("abz_019.-", min_size=1, max_size=18)
phrases = st.lists(words, max_size=6).map(" ".join)


@st.composite
def tables(draw):
    columns = draw(st.integers(1, 5))
    heading = [draw(words) for _ in range(columns)]
    cell = st.one_of(words, phrases)
    body = st.lists(cell, min_size=columns - 1, max_size=columns - 1)
    return [heading, *([draw(words), *draw(body)] for _ in range(draw(st.integers(0, 4))))]


@given(tables(), st.integers(1, 130), st.booleans())
def test_a_line_is_as_wide_as_the_terminal_and_has_whole_words(rows, width, has_prose):
    text = fitted_table(rows, width, prose=rows[0][1:] if has_prose else ())
    words = [word for row in rows[1:] for cell in row for word in cell.split()]
    longest = max(map(len, [*words, *rows[0]]))
    # A word after the indents of a block, before a colon.
    assert max(map(len, text.splitlines()), default=0) <= max(width, longest + 5)
    found = text.split()
    assert all(found.count(word) >= words.count(word) for word in words)


SAID = ("no difference shown", "fewer updates: 0.68 [0.61, 0.77]")
NUMBERS = ("1,234 [607, ∞]", "4/5, 1 diverged", "96.41 ± 0.12")
LONG = [
    ["", "steps", "reached", "final accuracy, %", "evidence"],
    *([f"one_cycle_with_momentum_0.{n}", *NUMBERS, said] for n, said in enumerate(SAID)),
]


@pytest.mark.parametrize("width", [30, 40, 80, 120])
def test_names_numbers_and_intervals_stay_whole(width):
    text = fitted_table(LONG, width, prose=["evidence"])
    assert max(map(len, text.splitlines())) <= width
    for cell in ("one_cycle_with_momentum_0.1", *NUMBERS[::2], "[0.61, 0.77]"):
        assert cell in text


def test_a_narrow_table_says_the_name_of_each_cell():
    assert fitted_table(LONG[:2], 40, prose=["evidence"]) == textwrap.dedent("""\
        one_cycle_with_momentum_0.0
          steps: 1,234 [607, ∞]
          reached: 4/5, 1 diverged
          final accuracy, %: 96.41 ± 0.12
          evidence: no difference shown""")


@given(st.lists(phrases.filter(bool)), st.integers(25, 80))
def test_a_list_has_all_words_in_order(sentences, width):
    lines = bullet_list(sentences, width).splitlines()
    assert sum(line.startswith("- ") for line in lines) >= len(sentences)
    assert max(map(len, lines), default=0) <= width
    assert "".join(lines).replace(" ", "").replace("-", "") == "".join(sentences).replace(
        " ", ""
    ).replace("-", "")
