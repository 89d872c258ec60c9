"""Published values: their order and their differences beside those of a study's own runs.

They come from other networks, data and lengths of training, so that their levels are set apart.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import compare_final
from jaxsched.bench.statistics.evidence import change_in_words


class PublishedTable(NamedTuple):
    """The values of one source.

    Attributes:
        source: where they were published and how they were measured.
        sentence: the source, and how many pairs of experiments our runs order alike.
        rows: the cells: the heading, and a row for each published experiment. Differences are
            from the reference: the baseline, or the first experiment if that is not published.
    """

    source: str
    sentence: str
    rows: list[tuple[str, ...]]


def published_tables(results: Results) -> list[PublishedTable]:
    """Returns a table for each source of published values, without those of its own runs' levels.

    Args:
        results: the study's results.
    """
    published = results.manifest.published
    sources = dict.fromkeys(entry.source for entry in published.values())
    return [
        _table(results, source, {n: p.value for n, p in published.items() if p.source == source})
        for source in sources
    ]


def _table(results: Results, source: str, values: Mapping[str, float]) -> PublishedTable:
    metric, baseline = results.metric, results.manifest.baseline
    reference = baseline if baseline in values else next(iter(values))
    records = [record for record in results.counted if record.name in values]
    found = compare_final(records, reference, metric.name)
    ours = {c.name: change_in_words(c, metric) for c in found if c.n}
    unit = ", points" if metric.is_share else ""
    columns = {f"published{metric.unit}": [metric.show_mean(v, None) for v in values.values()]}
    if len(values) > 1:
        columns[f"published, against {reference}{unit}"] = [
            "" if name == reference else metric.show_change(value - values[reference])
            for name, value in values.items()
        ]
        columns[f"ours, against {reference}{unit}"] = [ours.get(name, "") for name in values]
    rows = [("", *columns), *zip(values, *columns.values(), strict=True)]
    means = {s.name: s.final_mean for s in results.summaries if s.final_mean is not None}
    sentence = f"Published: {source or 'source not given'}.{_agreement(values, means)}"
    return PublishedTable(source, sentence, rows)


def _agreement(published: Mapping[str, float], ours: Mapping[str, float]) -> str:
    """Says how many pairs of experiments have the same order; "" without a pair."""
    alike = [
        (published[a] > published[b]) == (ours[a] > ours[b])
        for a, b in itertools.combinations([name for name in published if name in ours], 2)
        if published[a] != published[b] and ours[a] != ours[b]
    ]
    if not alike:
        return ""
    pairs = "1 pair" if len(alike) == 1 else f"{len(alike)} pairs"
    are = "is" if sum(alike) == 1 else "are"
    return f" Of {pairs} of experiments, {sum(alike)} {are} in the same order in our runs."
