"""The report of a tuning command: a table and sentences, for terminals and for Markdown."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxsched.text import markdown_rows, markdown_text
from jaxsched.text_table import bullet_list, fitted_table


class Report(NamedTuple):
    """A table with what it says in words.

    Attributes:
        heading: what the table shows.
        rows: the cells of each row, the heading first; no rows where there is nothing to compare.
        statements: sentences for the reader, the most important first.
        num_values: how many of the first columns are values that tell the rows apart. A terminal
            shows them in one column, each after its heading.

    Example:
        >>> from jaxsched.tune.report import Report
        >>> rows = [["momentum", "loss"], ["0.9", "0.12"]]
        >>> print(Report("a test", rows, ["One seed."], num_values=1).text(width=40))
        a test
                      loss
        ────────────  ────
        momentum 0.9  0.12
        - One seed.
    """

    heading: str
    rows: Sequence[Sequence[str]]
    statements: Sequence[str]
    num_values: int = 0

    def text(self, width: int) -> str:
        """Returns it for a terminal of this width, names and numbers whole."""
        table = [fitted_table(self._named_rows(), width)] if self.rows else []
        return "\n".join([self.heading, *table, bullet_list(self.statements, width)])

    @property
    def markdown(self) -> str:
        """It as Markdown."""
        table = f"{markdown_rows(self.rows)}\n" if self.rows else ""
        bullets = "".join(f"- {markdown_text(text)}\n" for text in self.statements)
        return f"{markdown_text(self.heading)}\n\n{table}{bullets}"

    def _named_rows(self) -> Sequence[Sequence[str]]:
        """The rows with their values in the first cell."""
        if not self.num_values:
            return self.rows
        names, *_ = self.rows
        count = self.num_values
        firsts = (
            ", ".join(f"{name} {value}" for name, value in zip(names[:count], row, strict=False))
            for row in self.rows[1:]
        )
        rest = [row[count:] for row in self.rows]
        return [["", *rest[0]], *([f, *r] for f, r in zip(firsts, rest[1:], strict=True))]
