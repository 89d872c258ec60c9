"""Collects everything the page shows and renders it to one HTML file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsched.bench.report.curves import TIME_AXES
from jaxsched.bench.report.page.figures import (
    Figure,
    metric_figure,
    norm_figure,
    profile_figure,
    reached_figure,
    schedule_figures,
)
from jaxsched.bench.report.page.rendering import legend, write_rendered
from jaxsched.bench.report.results import Results
from jaxsched.bench.report.tables import comparison_cells, summary_cells
from jaxsched.bench.statistics import evidence
from jaxsched.bench.values import final_value
from jaxsched.experiment.diff import differences
from jaxsched.metric import Metric
from jaxsched.tracking.records import Record


def write_page(results: Results, path: Path) -> None:
    """Writes the page: one HTML file with its styles, its script, its charts and its data.

    Args:
        results: the results of a study, of which some runs may be missing.
        path: the file to write.

    Example:
        >>> import tempfile
        >>> from jaxsched.bench import StudyManifest, Results
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.tracking.records import Run
        >>> from jaxsched.bench.report.page import write_page
        >>> row = {
        ...     "step": 10, "examples": 320, "epoch": 1.0, "train_seconds": 0.5,
        ...     "evaluation_seconds": 0.1, "batch_size": 32, "learning_rate": 0.1, "momentum": 0.9,
        ...     "weight_decay": 0.0, "test_accuracy": 0.8,
        ... }
        >>> header = {
        ...     "name": "cosine", "digest": "0", "seed": 0, "source": "", "compile_seconds": 1.0,
        ...     "environment": {"processor": "x", "device": "cpu"},
        ...     "config": {"optimizer": {"type": "SGD"}},
        ...     "started": "2026-01-01T00:00:00+00:00", "command": "jaxsched bench study.py",
        ... }
        >>> record = Record(header, (row,), {"status": "finished", "reason": ""})
        >>> manifest = StudyManifest(
        ...     name="tiny", runs=(Run("cosine", "0", 0),), target=0.9, further_targets=(),
        ...     baseline="cosine", published={},
        ... )
        >>> path = Path(tempfile.mkdtemp()) / "page.html"
        >>> write_page(Results.of(manifest, [record]), path)
        >>> "cosine reached 90.00% in none of its runs." in path.read_text(encoding="utf-8")
        True
    """
    figures, schedules = _figures(results), _schedules(results)
    names = results.manifest.names
    write_rendered(
        "page.html.j2",
        path,
        {**figures, **schedules},
        results=results,
        target_short=_short_target(results),
        time_axes={axis: TIME_AXES[axis] for axis in results.time_axes},
        legend=legend(names, [name for name in names if results.runs_of(name)]),
        summary=_summary(results),
        comparisons=comparison_cells(results) if results.by_final else [],
        published=list(_published(results)),
        figures=figures,
        schedules=schedules,
        configs=list(_configs(results)),
        machines=_machines(results.records),
        sources=_sources(results.records),
    )


def _figures(results: Results) -> dict[str, Figure]:
    """The figures for which the records have data, by the key of their place on the page."""
    figures = {
        "metric": metric_figure(results),
        "reached": reached_figure(results),
        "profile": profile_figure(results),
        "norm": norm_figure(results),
    }
    return {key: figure for key, figure in figures.items() if figure is not None}


def _schedules(results: Results) -> dict[str, Figure]:
    figures = schedule_figures(results)
    return {f"schedule-{figure.title.replace(' ', '-')}": figure for figure in figures}


def _summary(results: Results) -> list[tuple[str, ...]]:
    """The table of results with two more columns: the significance and the evidence."""
    heading, *rows = summary_cells(results, intervals=True)
    baseline, metric = results.manifest.baseline, results.metric
    target = _short_target(results)
    side = "above" if metric.better == "higher" else "below"
    claims = {
        final.name: evidence(final, steps, metric)
        for final, steps in zip(results.by_final, results.by_steps, strict=True)
    }
    claims[baseline] = f"the baseline; n = {len(results.runs_of(baseline))}"
    return [
        (
            *heading,
            f"mean significantly {side} {target} from step",
            f"evidence, compared with {baseline}",
        ),
        *((*row, _significant_from(results, row[0]), claims.get(row[0], "")) for row in rows),
    ]


def _short_target(results: Results) -> str:
    value, metric = results.target.value, results.metric
    return f"{value:.1%}" if metric.is_share else metric.show(value)


def _significant_from(results: Results, name: str) -> str:
    row = results.significantly_better.get(name)
    return "never" if row is None else f"{row['step']:,}"


class _Published(NamedTuple):
    """A published value beside ours; in per cent if it is a share."""

    name: str
    published: str
    ours: str
    difference: str
    source: str


def _published(results: Results) -> Iterator[_Published]:
    """The published values with ours: those of the weights that count."""
    metric = results.metric
    summaries = {summary.name: summary for summary in results.summaries}
    averaging = {summary.name for summary in results.by_weights["averaged"]}
    for name, published in results.manifest.published.items():
        summary = summaries.get(name)
        cells = ("", "")
        if summary is not None and summary.final_mean is not None:
            ours = summary.final_mean
            kind = f"{results.manifest.evaluate}, " if name in averaging else ""
            cells = (
                f"{metric.show_mean(ours, None)} ({kind}n={summary.final_n})",
                metric.show_change(ours - published.value),
            )
        value = metric.show_mean(published.value, None)
        yield _Published(name, value, *cells, published.source)


class _Config(NamedTuple):
    """An experiment's config as it ran, with its runs."""

    name: str
    differences: list[str]  # from the baseline's config
    text: str  # the config as JSON
    n: int
    runs: list[tuple[str, ...]]  # the cells of a table: the heading, and a row for each run


def _configs(results: Results) -> Iterator[_Config]:
    baseline_runs = results.runs_of(results.manifest.baseline)
    baseline = _config_without_name(baseline_runs[0]) if baseline_runs else None
    for name in results.manifest.names:
        runs = results.runs_of(name)
        if runs:
            config = _config_without_name(runs[0])
            differing = [] if baseline is None else list(differences(baseline, config))
            text = json.dumps(config, indent=1)
            cells = _run_cells(results.counted_of(name), results.metric)
            yield _Config(name, differing, text, len(runs), cells)


def _run_cells(runs: Sequence[Record], metric: Metric) -> list[tuple[str, ...]]:
    """The table of an experiment's runs, without columns of what none of them recorded."""
    rows = [_run_row(run, metric) for run in runs]
    kept = [name for name in rows[0] if any(row[name] for row in rows)]
    return [tuple(kept), *(tuple(row[name] for name in kept) for row in rows)]


def _run_row(run: Record, metric: Metric) -> dict[str, str]:
    last = run.evaluations[-1] if run.evaluations else {}
    header, end = run.header, run.end or {}
    final = final_value(run, metric.name)

    def number(value: float | None, form: str) -> str:
        return format(value, form) if value is not None else ""

    return {
        "seed": str(header["seed"]),
        "status": end.get("reason") or end.get("status") or "",
        f"final {metric.noun}": "none" if final is None else metric.show(final),
        "updates": f"{last.get('step', 0):,}",
        "training, s": number(last.get("train_seconds"), ".1f"),
        "evaluation, s": number(last.get("evaluation_seconds"), ".1f"),
        "compilation, s": number(header.get("compile_seconds"), ".1f"),
        "examples/s": number(end.get("images_per_second"), ",.0f"),
        "started": header["started"],
        "command": header["command"],
    }


def _config_without_name(record: Record) -> dict[str, Any]:
    """The run's config without its name and seed, which differ anyway."""
    config = record.header["config"]
    return {key: value for key, value in config.items() if key not in ("name", "seed")}


def _sources(records: Sequence[Record]) -> list[str]:
    """The texts of the study's files, each once; a loop of others may have recorded none."""
    texts = dict.fromkeys(record.header["source"] for record in records)
    return [text for text in texts if text]


class _Machine(NamedTuple):
    """A hardware and software environment, with the runs made in it."""

    name: str
    facts: Mapping[str, str]
    runs: list[str]


def _machines(records: Sequence[Record]) -> list[_Machine]:
    """The environments of all runs, each once; those of which nothing was recorded are left out."""
    machines: dict[str, _Machine] = {}
    for record in records:
        environment = record.header["environment"]
        facts = {
            **{key: str(value) for key, value in environment.items() if key != "packages"},
            **environment.get("packages", {}),
        }
        if facts:
            known = [facts[key] for key in ("processor", "device") if key in facts]
            name = ", ".join(known) or "unknown hardware"
            machine = machines.setdefault(json.dumps(facts), _Machine(name, facts, []))
            machine.runs.append(f"{record.name} seed {record.header['seed']}")
    return list(machines.values())
