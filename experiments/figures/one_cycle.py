"""Draws curves, and what the settings change, for `experiments/studies/one_cycle.py`.

    python experiments/figures/one_cycle.py [FOLDER]

FOLDER is the study's folder, `runs/one_cycle` by default; the figure is written into it. Curves are
medians over the seeds, bands their middle half. Below are differences in final accuracy to one of
the runs: ours with their standard errors, beside the published ones. Prints a table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from jaxsched.bench import load_study
from jaxsched.experiment import load_module
from jaxsched.plotting.style import plain
from jaxsched.text import markdown_rows

figures = load_module(Path(__file__).with_name("drawing.py"))

FIGURE = "curves.png"
CURVES = {
    "cycle": "#0072B2",
    "one_cycle": "#009E73",
    "one_cycle_2x": "#56B4E9",
    "piecewise": "#E69F00",
    "piecewise_8x": "#000000",
}
COLUMNS = {"test_accuracy": "test accuracy, %", "train_loss": "training loss"}
# A panel each: runs and their tick labels; `cycle` or `one_cycle`, which is among them, is at 0.
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
STUDY = load_study(Path(__file__).parents[1] / "studies" / "one_cycle.py")
PUBLISHED = {name: round(100 * of.value, 2) for name, of in STUDY.published.items()}
# Differences below this many points are drawn there, with their number.
LOWEST = -25.0


def reference(name: str) -> str:
    """The name of the run that another one is compared with; the empty string for none."""
    first = {"cycle": "", "one_cycle": "piecewise"}
    return first.get(name, "one_cycle" if name.startswith("one_cycle") else "cycle")


def difference(runs: Any, name: str) -> Any | None:
    """The `Difference` in points to the run that it is compared with; None if one is missing."""
    ours, others = (
        [100 * accuracy for accuracy in figures.final_accuracies(runs.get(n, ()))]
        for n in (name, reference(name))
    )
    return figures.difference(ours, others) if ours and others else None


def published_difference(name: str) -> float | None:
    """The same difference between published numbers; None if one of them is not published."""
    if name not in PUBLISHED or reference(name) not in PUBLISHED:
        return None
    return PUBLISHED[name] - PUBLISHED[reference(name)]


def draw(runs: Any, path: Path) -> None:
    """Draws curves against updates above, differences below."""
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


def draw_curves(axis: Axes, runs: Any, column: str) -> None:
    """Draws medians and bands over updates, on a logarithmic axis."""
    scale = 100 if column == "test_accuracy" else 1
    for name, colour in CURVES.items():
        style = {"color": colour, "marker": ".", "label": name.replace("_", " ")}
        figures.draw_curve(axis, runs.get(name, ()), column, "step", scale=scale, **style)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 4)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    plain(axis)


def draw_settings(axis: Axes, runs: Any, settings: Mapping[str, str]) -> None:
    """Draws our differences beside the published ones; the run compared with is the line at 0."""
    compared = next(name for name in ("cycle", "one_cycle") if name in settings)
    axis.axhline(0, color="black", linewidth=1)
    for place, name in enumerate(settings):
        if name == compared:
            axis.plot(place, 0, "o", color="black")
            continue
        if (theirs := published_difference(name)) is not None:
            draw_point(axis, place + 0.12, theirs, 0.0, "#999999", "published")
        if (ours := difference(runs, name)) is not None:
            draw_point(axis, place - 0.12, ours.value, ours.error, "#0072B2", "ours")
    axis.set_xticks(range(len(settings)), list(settings.values()))
    axis.set_xlim(-0.5, len(settings) - 0.5)
    plain(axis)


def draw_point(axis: Axes, x: float, value: float, error: float, colour: str, label: str) -> None:
    """Draws a difference with its error bar, or its number where it lies below the panel."""
    known = axis.get_legend_handles_labels()[1]
    style = {"color": colour, "label": None if label in known else label}
    if value < LOWEST:
        axis.plot(x, LOWEST, "v", **style)
        axis.annotate(f"{value:+.0f}", (x, LOWEST), (0, 8), textcoords="offset points", ha="center")
    else:
        axis.errorbar(x, value, error, fmt="o", capsize=3, **style)


def table(runs: Any) -> str:
    """A row for each run, as Markdown."""
    ordered = [*CURVES, *(name for names in SETTINGS.values() for name in names)]
    names = dict.fromkeys([*ordered, *sorted(runs)])
    heading = ["run", "updates", "test accuracy, %", "published, %", "difference", "published"]
    return markdown_rows([heading, *(row(runs, name) for name in names if runs.get(name))])


def row(runs: Any, name: str) -> list[str]:
    """The cells of one run."""
    records = runs[name]
    found, total = figures.final_accuracies(records), records[0].header["total_steps"]
    accuracy = figures.accuracy_text(found) if found else ""
    if diverged := len(records) - len(found):
        accuracy = f"{accuracy}, {diverged} diverged".removeprefix(", ")
    ours, theirs = difference(runs, name), published_difference(name)
    return [
        name,
        f"{total:,}",
        accuracy,
        str(PUBLISHED.get(name, "")),
        f"{ours.value:+.2f} ± {ours.error:.2f} to {reference(name)}" if ours else "",
        f"{theirs:+.2f}" if theirs is not None else "",
    ]


if __name__ == "__main__":
    figures.main("one_cycle", FIGURE, draw, table)
