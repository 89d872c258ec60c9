"""Draws `experiments/studies/one_cycle.py`: curves against updates, and what settings change.

    python experiments/studies/one_cycle_picture.py [RECORDS]

RECORDS is the folder of the study's records, `runs/one_cycle/records` by default; the
picture is written beside it. Curves are medians over the seeds, bands their middle half; below are
differences in final accuracy to one of the runs, ours with their standard errors beside those
published. Prints the table.
"""

import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from jaxsched.bench import load_study
from jaxsched.plotting.style import plain
from jaxsched.tracking import Record, read_record

CURVES = {
    "cycle": "#0072B2",
    "one_cycle": "#009E73",
    "one_cycle_2x": "#56B4E9",
    "piecewise": "#E69F00",
    "piecewise_8x": "#000000",
}
COLUMNS = {"test_accuracy": "test accuracy, %", "train_loss": "training loss"}
# A panel each: the runs and what they have there, `cycle` or `one_cycle` among them.
SETTINGS = {
    "weight decay of the cycle": {
        "cycle_wd_1e-6": "1e-6",
        "cycle_wd_1e-5": "1e-5",
        "cycle": "1e-4",
        "cycle_wd_1e-3": "1e-3",
    },
    "momentum of the cycle": {
        "cycle_momentum_0.80": "0.80",
        "cycle_momentum_0.85": "0.85",
        "cycle": "0.90",
        "cycle_momentum_0.95": "0.95",
    },
    "momentum of 1cycle": {
        "one_cycle": "against",
        "one_cycle_rising": "along",
        "one_cycle_momentum_0.85": "0.85",
        "one_cycle_momentum_0.90": "0.90",
        "one_cycle_momentum_0.95": "0.95",
    },
}
STUDY = load_study(Path(__file__).with_name("one_cycle.py"))
PUBLISHED = {name: round(100 * of.accuracy, 2) for name, of in STUDY.published.items()}
LOWEST = -25.0  # points; differences below are drawn there, with their number
Runs = Mapping[str, Sequence[Record]]


class Difference(NamedTuple):
    """Between two means, in points: it and its standard error, NaN for single seeds."""

    points: float
    error: float


def load(folder: Path) -> Runs:
    """The runs that came to an end by name, those that diverged among them."""
    runs = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        record = read_record(path)
        if record.is_complete:
            runs[record.name].append(record)
    return runs


def reference(name: str) -> str:
    """Which run another one is compared with; the empty name for none."""
    first = {"cycle": "", "one_cycle": "piecewise"}
    return first.get(name, "one_cycle" if name.startswith("one_cycle") else "cycle")


def accuracies(records: Sequence[Record]) -> list[float]:
    """Per cent at the end, of the runs that did not diverge."""
    return [
        100 * record.evaluations[-1]["test_accuracy"]
        for record in records
        if record.end is not None and record.end["status"] != "diverged"
    ]


def difference(runs: Runs, name: str) -> Difference | None:
    """To the run that it is compared with; None where one of them is missing."""
    mine, other = (accuracies(runs.get(n, ())) for n in (name, reference(name)))
    if not mine or not other:
        return None
    variances = [
        statistics.variance(found) / len(found) if len(found) > 1 else math.nan
        for found in (mine, other)
    ]
    points = statistics.fmean(mine) - statistics.fmean(other)
    return Difference(points, math.sqrt(sum(variances)))


def published_difference(name: str) -> float | None:
    """The same of the published numbers."""
    if name not in PUBLISHED or reference(name) not in PUBLISHED:
        return None
    return PUBLISHED[name] - PUBLISHED[reference(name)]


def draw(runs: Runs, path: Path) -> None:
    """Curves against updates above, differences below."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(9, 7), squeeze=False)[:, 0]
    axes = above.subplots(1, len(COLUMNS))
    for axis, (column, label) in zip(axes, COLUMNS.items(), strict=True):
        draw_curves(axis, runs, column)
        axis.set_xlabel("updates")
        axis.set_ylabel(label)
    lines, labels = axes[0].get_legend_handles_labels()
    above.legend(lines, labels, loc="outside upper center", ncols=len(CURVES), frameon=False)

    panels = below.subplots(1, len(SETTINGS))
    for axis, (title, settings) in zip(panels, SETTINGS.items(), strict=True):
        draw_settings(axis, runs, settings)
        axis.set_title(title)
    panels[0].set_ylabel("difference in test accuracy, points")
    lines, labels = panels[0].get_legend_handles_labels()
    below.legend(lines, labels, loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=130)


def draw_curves(axis: Axes, runs: Runs, column: str) -> None:
    """Medians and bands over updates, on a logarithmic axis."""
    scale = 100 if column == "test_accuracy" else 1
    for name, colour in CURVES.items():
        records = [record for record in runs.get(name, ()) if record.evaluations]
        if not records:
            continue
        length = min(len(record.evaluations) for record in records)
        rows = [record.evaluations[:length] for record in records]
        values = scale * np.array([[row[column] for row in run] for run in rows])
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
        updates = [row["step"] for row in rows[0]]
        axis.plot(updates, median, ".-", color=colour, label=name.replace("_", " "))
        axis.fill_between(updates, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 4)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    plain(axis)


def draw_settings(axis: Axes, runs: Runs, settings: Mapping[str, str]) -> None:
    """Ours and the published differences side by side; the run compared with is the line at 0."""
    compared = next(name for name in ("cycle", "one_cycle") if name in settings)
    axis.axhline(0, color="black", linewidth=1)
    for place, name in enumerate(settings):
        if name == compared:
            axis.plot(place, 0, "o", color="black")
            continue
        if (theirs := published_difference(name)) is not None:
            draw_point(axis, place + 0.12, Difference(theirs, 0.0), "#999999", "published")
        if (ours := difference(runs, name)) is not None:
            draw_point(axis, place - 0.12, ours, "#0072B2", "ours")
    axis.set_xticks(range(len(settings)), list(settings.values()))
    axis.set_xlim(-0.5, len(settings) - 0.5)
    plain(axis)


def draw_point(axis: Axes, x: float, found: Difference, colour: str, label: str) -> None:
    """A difference with its error bar, or its number where it lies below the panel."""
    known = axis.get_legend_handles_labels()[1]
    style = {"color": colour, "label": None if label in known else label}
    if found.points < LOWEST:
        axis.plot(x, LOWEST, "v", **style)
        axis.annotate(
            f"{found.points:+.0f}", (x, LOWEST), (0, 8), textcoords="offset points", ha="center"
        )
    else:
        axis.errorbar(x, found.points, found.error, fmt="o", capsize=3, **style)


def table(runs: Runs) -> str:
    """A row a run, as Markdown."""
    lines = [
        "| run | updates | test accuracy, % | published, % | difference | published |",
        "|---|---:|---:|---:|---|---:|",
    ]
    ordered = [*CURVES, *(name for names in SETTINGS.values() for name in names)]
    names = dict.fromkeys([*ordered, *sorted(runs)])
    return "\n".join([*lines, *(row(runs, name) for name in names if runs.get(name))])


def row(runs: Runs, name: str) -> str:
    """One line of the table."""
    records = runs[name]
    found, total = accuracies(records), records[0].header["total_steps"]
    spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
    accuracy = f"{statistics.fmean(found):.2f}{spread} (n={len(found)})" if found else ""
    if diverged := len(records) - len(found):
        accuracy = f"{accuracy}, {diverged} diverged".removeprefix(", ")
    ours, theirs = difference(runs, name), published_difference(name)
    apart = f"{ours.points:+.2f} ± {ours.error:.2f} to {reference(name)}" if ours else ""
    published = f"{theirs:+.2f}" if theirs is not None else ""
    return (
        f"| {name} | {total:,} | {accuracy} | {PUBLISHED.get(name, '')} | {apart} | {published} |"
    )


def main(records: Path) -> None:
    """Reads them, draws beside them, prints."""
    runs = load(records)
    draw(runs, records.parent / "curves.png")
    print(table(runs))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/one_cycle/records"))
