"""A figure of the page, and the sentences that several kinds of figures need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxsched.bench.report.page.charts.rows import ChartRows, flat_values, together
from jaxsched.bench.report.page.charts.ticks import Ticks
from jaxsched.text import join_names

_MOST_NAMED, _MOST_VALUES = 3, 4


@dataclass(frozen=True)
class Figure:
    """A figure of the page: a chart with its title and caption.

    Attributes:
        title: the heading.
        text: the caption, which says how to read the chart.
        spec: the chart in Vega-Lite; None if the text suffices.
    """

    title: str
    text: str
    spec: Mapping[str, Any] | None


def named(names: Sequence[str]) -> str:
    """Returns names as words, of many only the first ones."""
    return join_names(names, _MOST_NAMED)


def flat_text(rows: ChartRows) -> str | None:
    """Returns the sentence that says what a chart of flat curves would; None if it says more."""
    flat = flat_values(rows)
    if not flat:
        return None
    by_value: dict[str, list[str]] = {}
    for name, value in flat.items():
        by_value.setdefault(f"{value:,.6g}", []).append(name)
    if len(by_value) == 1:
        return (
            f"{next(iter(by_value))} throughout{', in all experiments' if len(flat) > 1 else ''}."
        )
    if len(by_value) > _MOST_VALUES:
        return None
    return f"Throughout {'; '.join(f'{value} in {named(of)}' for value, of in by_value.items())}."


def overlap_text(rows: ChartRows, ticks: Ticks) -> str:
    """Returns the sentence that says which curves hide each other; "" if none do."""
    groups = together(rows, ticks)
    if not groups:
        return ""
    if len(groups) > 1 or len(groups[0]) > _MOST_NAMED + 1:
        count = sum(map(len, groups))
        return f" {count} curves lie on another one; point at a name in the list above to see it."
    return f" {named(groups[0])} lie on each other."
