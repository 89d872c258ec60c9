"""The tables of a study: their cells, and Markdown."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxsched.bench.report.published import published_tables
from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import Comparison, Summary, evidence, p_in_words
from jaxsched.bench.statistics.evidence import change_in_words, ratio_in_words
from jaxsched.metric import Metric
from jaxsched.text import markdown_rows, markdown_text

_COMPARED = (
    "[interval] and p have Holm's correction for the number of rows: an interval leaves no "
    "difference out where p is below 0.05."
)


class Cells(NamedTuple):
    """A table's cells.

    Attributes:
        rows: the heading, and the rows.
        note: what is the same in all rows and therefore no column, in sentences; "" if nothing.
        prose: the headings of the columns that hold words.
    """

    rows: list[tuple[str, ...]]
    note: str = ""
    prose: tuple[str, ...] = ()


def markdown_table(results: Results) -> str:
    """Returns the report in Markdown: title, answer, caveats, tables of results and comparisons."""
    summary = summary_cells(results, intervals=True)
    compared = (*results.by_final, *results.by_steps, *results.by_average)
    parts = [
        f"{markdown_text(_title(results))}\n",
        f"{markdown_text(results.answer)}\n",
        "".join(f"- {markdown_text(caveat)}\n" for caveat in results.caveats),
        f"{markdown_text(summary.note)}\n" if summary.note else "",
        markdown_rows(summary.rows),
        f"{_COMPARED}\n" if any(found.p_value is not None for found in compared) else "",
        markdown_comparisons(results) if results.by_final else "",
        markdown_rows(average_cells(results)) if results.by_average else "",
        *(
            f"{markdown_text(part.sentence)}\n\n{markdown_rows(part.rows)}"
            for part in published_tables(results)
        ),
    ]
    return "\n".join(part for part in parts if part)


def markdown_summaries(results: Results) -> str:
    """Returns the table of results in Markdown, with intervals: a row for each experiment."""
    cells = summary_cells(results, intervals=True)
    note = f"\n{markdown_text(cells.note)}\n" if cells.note else ""
    return f"{markdown_rows(cells.rows)}{note}"


def markdown_comparisons(results: Results) -> str:
    """Returns the comparisons with the baseline in Markdown: a row for each experiment."""
    return markdown_rows(comparison_cells(results))


def _title(results: Results) -> str:
    target = results.target
    origin = "" if target.origin == "set by hand" else f" ({target.origin})"
    which = f"; {results.which_counts}" if results.which_counts else ""
    return f"{results.manifest.name}: median over seeds to reach {target.words}{origin}{which}"


def summary_cells(results: Results, *, intervals: bool) -> Cells:
    """Returns the table of results: a row for each experiment.

    Args:
        results: the study's results.
        intervals: whether the median of steps is followed by its interval, and from when on the
            mean is significantly better than the target.
    """
    metric, summaries = results.metric, results.summaries
    seeds = {summary.seeds for summary in summaries} | {summary.final_n for summary in summaries}
    columns = {
        "steps": [_steps(summary, intervals) for summary in summaries],
        **_other_times(results),
        "reached": [_reached(summary) for summary in summaries],
        f"final {metric.noun}{metric.unit}": [
            metric.show_mean(s.final_mean, s.final_sd)
            + (f" (n={s.final_n})" if len(seeds) > 1 else "")
            for s in summaries
        ],
        **_other_weights(results),
    }
    if intervals:
        columns.update(_significant_from(results))
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    same = {name: cells[0] for name, cells in shown.items() if len({*cells}) == 1 < len(cells)}
    shown = {name: cells for name, cells in shown.items() if name not in same}
    if len(seeds) == 1 < len(summaries):
        same = {"n =": str(seeds.pop()), **same}
    equal = ", ".join(f"{name} {cell}" for name, cell in same.items())
    claims, claim = _claims(results)
    shown.update(claims)
    names = [summary.name for summary in summaries]
    rows = [("", *shown), *zip(names, *shown.values(), strict=True)]
    notes = [f"Equal in all rows: {equal}." if equal else "", claim]
    return Cells(rows, " ".join(note for note in notes if note), tuple(claims))


def _other_times(results: Results) -> dict[str, list[str]]:
    """The columns of examples, unless an update has as many everywhere, and of seconds."""
    columns, summaries = {}, results.summaries
    pairs = [(s.examples, s.steps) for s in summaries]
    sizes = {round(a / b, 6) for a, b in pairs if a is not None and b}
    if "examples" in results.time_axes and len(sizes) > 1:
        columns["examples"] = [_time(summary.examples, ",.0f") for summary in summaries]
    # A column of misses tells no more than that of steps.
    if "train_seconds" in results.time_axes and any(s.seconds is not None for s in summaries):
        columns["seconds"] = [_time(summary.seconds, ".1f") for summary in summaries]
    return columns


def _other_weights(results: Results) -> dict[str, list[str]]:
    """The columns of the weights that do not count; empty for experiments without an average."""
    columns, metric, counting = {}, results.metric, results.summaries
    for weights, summaries in results.by_weights.items():
        by_name = {summary.name: summary for summary in summaries}
        if weights == results.manifest.evaluate or not by_name:
            continue
        found = [by_name.get(summary.name) for summary in counting]
        if any(s and s.steps != own.steps for s, own in zip(found, counting, strict=True)):
            columns[f"{weights} steps"] = ["" if s is None else _steps(s, False) for s in found]
        columns[f"{weights}{metric.unit}"] = [
            "" if s is None else metric.show_mean(s.final_mean, s.final_sd) for s in found
        ]
    return columns


def _significant_from(results: Results) -> dict[str, list[str]]:
    """From when on each mean is significantly better than the target; nothing if none ever is."""
    found = results.significantly_better
    if not found:
        return {}
    side = "above" if results.metric.better == "higher" else "below"
    cells = [
        f"{found[s.name]['step']:,}" if s.name in found else "never" for s in results.summaries
    ]
    return {f"significantly {side} {results.target.short} from step": cells}


def _claims(results: Results) -> tuple[dict[str, list[str]], str]:
    """The column of what is shown against the baseline; if all rows say the same, a note."""
    baseline = results.manifest.baseline
    comparisons = list(zip(results.by_final, results.by_steps, strict=True))
    claims = {final.name: evidence(final, steps, results.metric) for final, steps in comparisons}
    if not claims:
        return {}, ""
    has_claims = any(found.is_significant for pair in comparisons for found in pair)
    if len({*claims.values()}) == 1 and not has_claims:
        return {}, f"Against {baseline}: {next(iter(claims.values()))}."
    cells = [claims.get(summary.name, "the baseline") for summary in results.summaries]
    return {f"shown against {baseline}": cells}, ""


def _steps(summary: Summary, intervals: bool) -> str:
    steps = _time(summary.steps, ",.0f")
    if intervals and summary.steps_interval is not None and summary.steps is not None:
        low, high = (_bound(end, ",.0f") for end in summary.steps_interval)
        steps += f" [{low}, {high}]"
    return steps


def _reached(summary: Summary) -> str:
    died = {"diverged": summary.diverged, "failed": summary.failed}
    losses = "".join(f", {count} {how}" for how, count in died.items() if count)
    return f"{summary.reached}/{summary.seeds}{losses}"


def _time(value: float | None, form: str) -> str:
    return "missed" if value is None else format(value, form)


def _bound(value: float | None, form: str) -> str:
    return "∞" if value is None else format(value, form)


def comparison_cells(results: Results) -> list[tuple[str, ...]]:
    """Returns the cells of the comparisons with the baseline: the heading, and the rows."""
    heading = (
        f"against {results.manifest.baseline}, by seed",
        *_final_heading(results.metric),
        "steps, ratio [interval]",
        "p (Holm)",
    )
    counts = {c.n for c in (*results.by_final, *results.by_steps)}
    rows = [
        (
            final.name if len(counts) == 1 else f"{final.name} (n={max(final.n, steps.n)})",
            *_final_cells(final, results.metric),
            ratio_in_words(steps),
            _p_value(steps),
        )
        for final, steps in zip(results.by_final, results.by_steps, strict=True)
    ]
    return _without_empty_columns([heading, *rows])


def average_cells(results: Results) -> list[tuple[str, ...]]:
    """Returns the cells of averaged weights against raw ones: the heading, and the rows."""
    heading = ("averaged against raw weights, by run", *_final_heading(results.metric))
    rows = [(found.name, *_final_cells(found, results.metric)) for found in results.by_average]
    return _without_empty_columns([heading, *rows])


def _final_heading(metric: Metric) -> tuple[str, ...]:
    unit = ", points" if metric.is_share else ""
    return (f"final {metric.noun}{unit} [interval]", "p (Holm)")


def _final_cells(final: Comparison, metric: Metric) -> tuple[str, ...]:
    return (change_in_words(final, metric), _p_value(final))


def _p_value(comparison: Comparison) -> str:
    p = comparison.p_corrected
    return "" if p is None else p_in_words(p).removeprefix("= ")


def _without_empty_columns(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    return list(zip(*columns, strict=True))
