"""Draws curves against epochs and against updates for `experiments/studies/dont_decay.py`.

    python experiments/figures/batch_growth.py [FOLDER]

FOLDER is the study's folder, `runs/batch_growth` by default; the figure is written into it. Lines
are medians over the seeds, bands their middle half. Prints a table of updates and final accuracies,
and of the differences to the run that decays: in final accuracy, by seed, with a 95 % interval of
each alone, and the largest one in training loss, over all epochs, with its standard error.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxsched.bench import compare_final, load_study
from jaxsched.experiment import load_module
from jaxsched.plotting.style import plain
from jaxsched.text import markdown_rows
from jaxsched.tracking import Record

figures = load_module(Path(__file__).with_name("drawing.py"))

FIGURE = "curves.png"
# Each run is compared with the first of its group.
FIGURE_5 = ("decay", "hybrid", "batch", "larger_lr", "larger_momentum")
OTHERS = {
    "Nesterov momentum": ("decay_nesterov", "hybrid_nesterov", "batch_nesterov"),
    "no momentum": ("decay_vanilla", "hybrid_vanilla", "batch_vanilla"),
    "Adam": ("decay_adam", "hybrid_adam", "batch_adam"),
    "ABEL": ("abel", "abel_batch"),
    "by the noise scale": ("noise_batch",),
}
STUDY = load_study(Path(__file__).parents[1] / "studies" / "dont_decay.py")
PUBLISHED = {name: round(100 * of.value, 2) for name, of in STUDY.published.items()}
# The colour of a run is that of the first key in its name: batches that grow are blue, whatever
# makes them grow.
COLOURS = {
    "hybrid": "#E69F00",
    "batch": "#0072B2",
    "larger_lr": "#009E73",
    "larger_momentum": "#D55E00",
    "": "#000000",
}
COLUMNS = {"test_accuracy": "test accuracy, %", "train_loss": "training loss"}
TIME_AXES = {"epoch": "epochs", "step": "updates"}


def draw(runs: Any, path: Path) -> None:
    """Draws figure 5's runs over both time axes, and below the losses of the other optimizers."""
    figure = Figure(figsize=(12, 10.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(7.5, 3), squeeze=False)[:, 0]
    axes = above.subplots(len(COLUMNS), len(TIME_AXES), sharex="col", sharey="row")
    for row, column in zip(axes, COLUMNS, strict=True):
        for axis, time_axis in zip(row, TIME_AXES, strict=True):
            draw_group(axis, runs, FIGURE_5, time_axis, column)
        row[0].set_ylabel(COLUMNS[column])
    axes[0, 1].set_xscale("log")
    for axis, label in zip(axes[1], TIME_AXES.values(), strict=True):
        axis.set_xlabel(label)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    above.legend(lines, labels, loc="outside upper center", ncols=5, frameon=False)

    small = below.subplots(1, len(OTHERS))
    for axis, (title, names) in zip(small, OTHERS.items(), strict=True):
        draw_group(axis, runs, names, "epoch", "train_loss")
        axis.set_title(title)
        axis.set_xlabel("epochs")
        axis.legend(
            *axis.get_legend_handles_labels(), loc="upper right", frameon=False, fontsize="small"
        )
    small[0].set_ylabel("training loss")
    figure.savefig(path, dpi=130)


def draw_group(axis: Axes, runs: Any, names: Sequence[str], time_axis: str, column: str) -> None:
    """Draws the curves of the runs with these names."""
    scale = 100 if column == "test_accuracy" else 1
    for name in names:
        colour = next(COLOURS[part] for part in COLOURS if part in name)
        label = name.replace("_", " ")
        records = runs.get(name, ())
        figures.draw_curve(axis, records, column, time_axis, scale=scale, color=colour, label=label)
    if time_axis == "epoch":
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    plain(axis)


def losses_of(records: Sequence[Record], length: int) -> np.ndarray:
    """The training losses of the first evaluations: f64[runs, length]."""
    return np.array([[row["train_loss"] for row in r.evaluations[:length]] for r in records])


def largest_difference(
    records: Sequence[Record], reference: Sequence[Record]
) -> tuple[float, float, float]:
    """Finds where the mean training losses of two experiments are farthest apart.

    Returns:
        The epoch, the difference, and its standard error (NaN for single seeds).
    """
    length = min(len(record.evaluations) for record in (*records, *reference))
    ours, others = losses_of(records, length), losses_of(reference, length)
    worst = int(np.argmax(np.abs(ours.mean(axis=0) - others.mean(axis=0))))
    value, error = figures.difference(ours[:, worst].tolist(), others[:, worst].tolist())
    return reference[0].evaluations[worst]["epoch"], value, error


def table(runs: Any) -> str:
    """A row for each run, as Markdown."""
    rows = [
        row(runs, name, reference=names[0])
        for names in (FIGURE_5, *OTHERS.values())
        for name in names
        if runs.get(name)
    ]
    heading = ["run", "updates", "test accuracy, %", "published, %"]
    heading += ["difference, points [95 %]", "largest difference in training loss"]
    return markdown_rows([heading, *rows])


def row(runs: Any, name: str, reference: str) -> list[str]:
    """The cells of one run."""
    records = runs[name]
    # Where the batch size is learned, the updates differ between seeds.
    updates = statistics.median(record.evaluations[-1]["step"] for record in records)
    difference = in_accuracy = ""
    if name != reference and runs.get(reference):
        epoch, value, error = largest_difference(records, runs[reference])
        difference = f"{value:+.3f} ± {error:.3f} to {reference}, epoch {epoch:.3g}"
        in_accuracy = accuracy_difference(records, runs[reference])
    accuracy = figures.accuracy_text(figures.final_accuracies(records))
    published = str(PUBLISHED.get(name, ""))
    return [name, f"{updates:,.0f}", accuracy, published, in_accuracy, difference]


def accuracy_difference(records: Sequence[Record], reference: Sequence[Record]) -> str:
    """The difference in final accuracy over the seeds, in points, with its interval."""
    (found,) = compare_final((*reference, *records), reference[0].name, "test_accuracy")
    if found.estimate is None:
        return ""
    text = f"{100 * found.estimate:+.2f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


if __name__ == "__main__":
    figures.main("batch_growth", FIGURE, draw, table)
