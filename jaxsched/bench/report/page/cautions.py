"""Cautions about the records that a reader must know before the charts."""

from collections.abc import Iterator, Sequence

from jaxsched.bench.report.page.charts.rows import column
from jaxsched.metric import bare_name
from jaxsched.text import title
from jaxsched.tracking.records import Record

_MOST_NAMED = 3
# The columns that are drawn beside metrics.
_COLUMNS = ("squared_norm", "learning_rate", "momentum", "weight_decay")


def cautions(records: Sequence[Record]) -> list[str]:
    """Returns a caution if charts leave out values because they are no finite numbers."""
    found = [words for record in records for words in _not_drawn(record)]
    if not found:
        return []
    more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return [
        f"Not drawn, because infinite, not a number or too large: {', '.join(found[:_MOST_NAMED])}"
        f"{more}."
    ]


def _not_drawn(record: Record) -> Iterator[str]:
    """The columns of a run that have such a value, each with the update that has the first one."""
    named = dict.fromkeys(name for row in record.evaluations for name in row)
    for name in named:
        if name in _COLUMNS or bare_name(name) is not None:
            read = column(name)
            steps = [
                row["step"]
                for row in record.evaluations
                if row.get(name) is not None and read(row) is None
            ]
            if steps:
                yield (
                    f"{title(name)} of {record.name}, seed {record.header['seed']}, from update "
                    f"{steps[0]:,}"
                )
