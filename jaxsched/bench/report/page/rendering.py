"""Renders a template to a page: one HTML file with its styles, script, charts and data."""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import vl_convert

from jaxsched.bench.report.page.figures.figure import Figure
from jaxsched.output import write_text
from jaxsched.plotting.style import colour, dashes

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("jaxsched.bench.report.page"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# A page with a bare NaN in its JSON would stay blank.
_TEMPLATES.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}


def unbroken(cell: str) -> str:
    """Returns a cell's text whose intervals and standard deviations are on one line.

    Example:
        >>> from jaxsched.bench.report.page.rendering import unbroken
        >>> unbroken("0.68 [0.61, 0.77]")
        '0.68 [0.61,\\xa00.77]'
    """
    return re.sub(r"\[[^\]]*\]|\S+ ± \S+", lambda match: match[0].replace(" ", "\xa0"), cell)


_TEMPLATES.filters["unbroken"] = unbroken


class Entry(NamedTuple):
    """An experiment in the legend."""

    name: str
    colour: str
    dashes: str  # in SVG's notation


def legend(names: Sequence[str], shown: Sequence[str]) -> list[Entry]:
    """Makes the entries of those experiments that are shown; each looks as its number says."""
    return [
        Entry(name, colour(number), " ".join(map(str, dashes(number))))
        for number, name in enumerate(names)
        if name in shown
    ]


def write_rendered(template: str, path: Path, charts: Mapping[str, Figure], **values: Any) -> None:
    """Renders a template and writes the page.

    Args:
        template: its file in the folder of templates.
        path: the file to write.
        charts: all figures of the page, by the key of their place on it.
        values: what else the template shows.
    """
    text = _TEMPLATES.get_template(template).render(
        specs={key: _strict(fig.spec) for key, fig in charts.items() if fig.spec},
        chart_titles=[fig.title for fig in charts.values() if fig.spec],
        library=_library(),
        **values,
    )
    write_text(path, text)


def _strict(value: Any) -> Any:
    """The JSON with null for each number that is not finite, of which JSON has none."""
    if isinstance(value, Mapping):
        return {name: _strict(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache
def _library() -> str:
    """Vega's JavaScript; it takes a second to bundle, so that a process does it once."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
