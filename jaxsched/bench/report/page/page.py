"""Collects everything the page shows and renders it to one HTML file."""

from collections.abc import Iterator
from pathlib import Path

from jaxsched.bench.report.page.cautions import cautions
from jaxsched.bench.report.page.charts.time_units import TimeUnits
from jaxsched.bench.report.page.figures.figure import Figure
from jaxsched.bench.report.page.figures.metric import loss_figures, metric_figure
from jaxsched.bench.report.page.figures.norm import norm_figure
from jaxsched.bench.report.page.figures.profile import profile_figure
from jaxsched.bench.report.page.figures.reached import reached_figure
from jaxsched.bench.report.page.figures.schedules import schedule_figures
from jaxsched.bench.report.page.provenance import configs, machines, sources
from jaxsched.bench.report.page.rendering import legend, write_rendered
from jaxsched.bench.report.published import published_tables
from jaxsched.bench.report.results import Results
from jaxsched.bench.report.tables import average_cells, comparison_cells, summary_cells

# More curves than colours are hard to follow in one chart.
_MOST_TOGETHER = 7


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
    units = TimeUnits.of(results)
    figures = _figures(results, units)
    names = results.manifest.names
    shown = legend(names, [name for name in names if results.runs_of(name)])
    write_rendered(
        "page.html.j2",
        path,
        {key: figure for of in figures.values() for key, figure in of.items()},
        results=results,
        caveats=[*results.caveats, *cautions(results.records)],
        time_axes=units.labels,
        legend=shown,
        has_multiples=len(shown) > _MOST_TOGETHER and bool(figures["metric"]["metric-0"].spec),
        summary=summary_cells(results, intervals=True),
        facts=list(_facts(results)),
        scores=list(_scores(results)),
        comparisons=comparison_cells(results) if results.by_final else [],
        averages=average_cells(results) if results.by_average else [],
        published=published_tables(results),
        figures=figures,
        configs=list(configs(results)),
        machines=machines(results.records),
        sources=sources(results.records),
    )


def _figures(results: Results, units: TimeUnits) -> dict[str, dict[str, Figure]]:
    """The figures of each part of the page, by the key of their place on it."""
    groups = {
        "metric": [metric_figure(results, units), *loss_figures(results, units)],
        "others": [
            reached_figure(results, units),
            *filter(None, (norm_figure(results, units), profile_figure(results))),
        ],
        "schedules": schedule_figures(results, units),
    }
    return {
        group: {f"{group}-{number}": figure for number, figure in enumerate(of)}
        for group, of in groups.items()
    }


def _facts(results: Results) -> Iterator[str]:
    """Yields what the numbers are about, as short phrases."""
    manifest = results.manifest
    yield f"{len(manifest.names)} experiment{'s' if len(manifest.names) > 1 else ''}"
    yield f"{len(results.records)} of {len(manifest.runs)} runs have ended"
    yield f"target: {results.target.words}, {results.target.origin}"
    yield f"baseline: {manifest.baseline}"
    if results.which_counts:
        yield results.which_counts


def _scores(results: Results) -> Iterator[tuple[str, ...]]:
    """The rows of the scores over all targets, after their heading."""
    if results.profile is not None:
        yield ("", "score", "speed")
        for name, score in results.profile.scores.items():
            speed = results.profile.speedups[name]
            yield (name, f"{score:.3f}", f"{speed:.2f}" if speed else "missed a target")
