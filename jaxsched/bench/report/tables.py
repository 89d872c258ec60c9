"""The tables of a study: for the terminal, as Markdown and as JSON."""

import dataclasses
import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from jaxsched.bench.report.results import Results
from jaxsched.bench.statistics import Comparison, Summary, p_in_words
from jaxsched.metric import Metric
from jaxsched.output import write_text
from jaxsched.text import markdown_rows, markdown_text


def terminal_table(results: Results) -> Table:
    """Returns the table of results for the terminal, with the caveats below."""
    # As `Text`, because names, reasons and caveats may hold brackets, which are no markup.
    table = Table(title=Text(_title(results)), caption=Text("\n".join(results.caveats)))
    # Without intervals, for which a terminal is too narrow.
    columns, *rows = summary_cells(results, intervals=False)
    for column in columns:
        table.add_column(Text(column), justify="right" if column else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def markdown_table(results: Results) -> str:
    """Returns the report in Markdown: a title, the caveats, the table and the comparisons."""
    parts = [
        f"{markdown_text(_title(results))}\n",
        "".join(f"- {markdown_text(caveat)}\n" for caveat in results.caveats),
        markdown_summaries(results),
        markdown_comparisons(results) if results.by_final else "",
        markdown_rows(average_cells(results)) if results.by_average else "",
    ]
    return "\n".join(part for part in parts if part)


def markdown_summaries(results: Results) -> str:
    """Returns the table of results in Markdown, with intervals: a row for each experiment."""
    return markdown_rows(summary_cells(results, intervals=True))


def markdown_comparisons(results: Results) -> str:
    """Returns the comparisons with the baseline in Markdown: a row for each experiment."""
    return markdown_rows(comparison_cells(results))


def write_json(results: Results, path: Path) -> None:
    """Writes everything that is computed, unrounded: all fields of `Results` but the records."""
    content = {
        "study": results.manifest.name,
        "target": results.target.value,
        "metric": dataclasses.asdict(results.metric),
        "origin": results.target.origin,
        "evaluate": results.manifest.evaluate,
        "rows": [dataclasses.asdict(summary) for summary in results.summaries],
        "baseline": results.manifest.baseline,
        "by_final": [dataclasses.asdict(comparison) for comparison in results.by_final],
        "by_steps": [dataclasses.asdict(comparison) for comparison in results.by_steps],
        "by_weights": {
            weights: [dataclasses.asdict(summary) for summary in summaries]
            for weights, summaries in results.by_weights.items()
        },
        "by_average": [dataclasses.asdict(comparison) for comparison in results.by_average],
        "significantly_better": {
            name: row["step"] for name, row in results.significantly_better.items()
        },
        "profile": None if results.profile is None else dataclasses.asdict(results.profile),
        "caveats": results.caveats,
    }
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _title(results: Results) -> str:
    target = results.target
    origin = "" if target.origin == "set by hand" else f" ({target.origin})"
    which = f"; {results.which_counts}" if results.which_counts else ""
    return f"{results.manifest.name}: median over seeds to reach {target.words}{origin}{which}"


def summary_cells(results: Results, *, intervals: bool) -> list[tuple[str, ...]]:
    """Returns the cells of the table of results: the heading, and a row for each experiment.

    Args:
        results: the study's results.
        intervals: whether the median of steps is followed by its interval.
    """
    metric, published = results.metric, results.manifest.published
    summaries = results.summaries
    columns = {
        "": [summary.name for summary in summaries],
        "steps": [_steps(summary, intervals) for summary in summaries],
        "examples": [_time(summary.examples, ",.0f") for summary in summaries],
        "seconds": [_time(summary.seconds, ".1f") for summary in summaries],
        "reached": [_reached(summary) for summary in summaries],
        f"final {metric.noun}{metric.unit}": [
            f"{metric.show_mean(s.final_mean, s.final_sd)} (n={s.final_n})" for s in summaries
        ],
        **_other_weights(results),
        f"published{metric.unit}": [
            metric.show_mean(published[s.name].value, None) if s.name in published else ""
            for s in summaries
        ],
    }
    kept = {
        "examples": "examples" in results.time_axes,
        "seconds": "train_seconds" in results.time_axes,
        f"published{metric.unit}": bool(published),
    }
    shown = {name: cells for name, cells in columns.items() if kept.get(name, True)}
    return [tuple(shown), *zip(*shown.values(), strict=True)]


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
    metric = results.metric
    heading = (
        f"against {results.manifest.baseline}, by seed",
        f"final {metric.noun}{', points' if metric.is_share else ''} [95% interval]",
        "d",
        "p (Holm)",
        "steps, ratio [95% interval]",
        "p (Holm)",
    )
    rows = [
        (*_final_cells(final, metric), _ratio(steps), _p_value(steps))
        for final, steps in zip(results.by_final, results.by_steps, strict=True)
    ]
    return [heading, *rows]


def average_cells(results: Results) -> list[tuple[str, ...]]:
    """Returns the cells of averaged weights against raw ones: the heading, and the rows."""
    metric = results.metric
    heading = (
        "averaged against raw weights, by run",
        f"final {metric.noun}{', points' if metric.is_share else ''} [95% interval]",
        "d",
        "p (Holm)",
    )
    return [heading, *(_final_cells(found, metric) for found in results.by_average)]


def _final_cells(final: Comparison, metric: Metric) -> tuple[str, ...]:
    """The cells of a comparison of final values."""
    effect = "" if final.effect_size is None else f"{final.effect_size:+.1f}"
    return (final.name, _difference(final, metric), effect, _p_value(final))


def _difference(comparison: Comparison, metric: Metric) -> str:
    """A difference of final values; in percentage points if they are shares."""
    if comparison.estimate is None:
        return "none"
    estimate = metric.show_change(comparison.estimate)
    if comparison.low is None or comparison.high is None:
        return f"{estimate} (n={comparison.n})"
    low, high = map(metric.show_change, (comparison.low, comparison.high))
    return f"{estimate} [{low}, {high}]"


def _ratio(comparison: Comparison) -> str:
    """A ratio of times: 0 if the baseline missed the target, None if the experiment did."""
    if comparison.n == 0:
        return "none"
    if comparison.estimate is None:
        return "missed"
    estimate = "baseline missed" if comparison.estimate == 0 else f"{comparison.estimate:.2f}"
    if comparison.n == 1:
        return f"{estimate} (n=1)"
    return f"{estimate} [{_bound(comparison.low, '.2f')}, {_bound(comparison.high, '.2f')}]"


def _p_value(comparison: Comparison) -> str:
    p = comparison.p_corrected
    return "" if p is None else p_in_words(p).removeprefix("= ")
