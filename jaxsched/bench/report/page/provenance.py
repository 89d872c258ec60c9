"""Where the numbers come from: configs, runs, machines and the study's file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxsched.bench.report.results import Results
from jaxsched.bench.values import final_value
from jaxsched.experiment.diff import differences
from jaxsched.metric import Metric
from jaxsched.tracking.records import Record


class Config(NamedTuple):
    """An experiment's config as it ran, with its runs."""

    name: str
    differences: list[str]  # from the baseline's config
    text: str  # the config as JSON
    n: int
    runs: list[tuple[str, ...]]  # the cells of a table: the heading, and a row for each run


def configs(results: Results) -> Iterator[Config]:
    """Yields the config of each experiment that has runs, with these."""
    baseline_runs = results.runs_of(results.manifest.baseline)
    baseline = _config_without_name(baseline_runs[0]) if baseline_runs else None
    for name in results.manifest.names:
        runs = results.runs_of(name)
        if runs:
            config = _config_without_name(runs[0])
            differing = [] if baseline is None else list(differences(baseline, config))
            text = json.dumps(config, indent=1)
            cells = _run_cells(results.counted_of(name), results.metric)
            yield Config(name, differing, text, len(runs), cells)


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


def sources(records: Sequence[Record]) -> list[str]:
    """Returns the texts of the study's files, each once; those of other loops may be missing."""
    texts = dict.fromkeys(record.header["source"] for record in records)
    return [text for text in texts if text]


class Machine(NamedTuple):
    """A hardware and software environment, with the runs made in it."""

    name: str
    facts: Mapping[str, str]
    runs: list[str]


def machines(records: Sequence[Record]) -> list[Machine]:
    """Returns the environments of all runs, each once, without those that were not recorded."""
    found: dict[str, Machine] = {}
    for record in records:
        environment = record.header["environment"]
        facts = {
            **{key: str(value) for key, value in environment.items() if key != "packages"},
            **environment.get("packages", {}),
        }
        if facts:
            known = [facts[key] for key in ("processor", "device") if key in facts]
            name = ", ".join(known) or "unknown hardware"
            machine = found.setdefault(json.dumps(facts), Machine(name, facts, []))
            machine.runs.append(f"{record.name} seed {record.header['seed']}")
    return list(found.values())
