"""Draws `experiments/studies/dont_decay.py`: curves against epochs and against updates.

    python experiments/studies/dont_decay_picture.py [RECORDS]

RECORDS is the folder of the study's records, `runs/dont_decay/records` by default; the picture is
written beside it. Lines are medians over the seeds, bands their middle half. Prints the table of
updates, final accuracies and the largest difference in training loss, of all epochs, to the run
that decays, with its standard error.
"""

import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxsched.bench import load_study
from jaxsched.plotting.style import plain
from jaxsched.tracking import Record, read_record

# Each is compared with the first of its group.
FIGURE_5 = ("decay", "hybrid", "batch", "larger_lr", "larger_momentum")
OTHERS = {
    "Nesterov momentum": ("decay_nesterov", "hybrid_nesterov", "batch_nesterov"),
    "no momentum": ("decay_vanilla", "hybrid_vanilla", "batch_vanilla"),
    "Adam": ("decay_adam", "hybrid_adam", "batch_adam"),
    "ABEL": ("abel", "abel_batch"),
    "by the noise scale": ("noise_batch",),
}
STUDY = load_study(Path(__file__).with_name("dont_decay.py"))
PUBLISHED = {name: round(100 * of.accuracy, 2) for name, of in STUDY.published.items()}
# Of the first that a name contains: batches that grow are blue, whatever lets them.
COLOURS = {
    "hybrid": "#E69F00",
    "batch": "#0072B2",
    "larger_lr": "#009E73",
    "larger_momentum": "#D55E00",
    "": "#000000",
}
COLUMNS = {"test_accuracy": "test accuracy, %", "train_loss": "training loss"}
CLOCKS = {"epoch": "epochs", "step": "updates"}
Runs = Mapping[str, Sequence[Record]]


def load(folder: Path) -> Runs:
    """The finished runs by name."""
    runs = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        record = read_record(path)
        if record.is_complete and record.evaluations:
            runs[record.name].append(record)
    return runs


def values(records: Sequence[Record], column: str) -> np.ndarray:
    """A column of the evaluations that all runs have: [runs, evaluations]."""
    length = min(len(record.evaluations) for record in records)
    return np.array([[row[column] for row in r.evaluations[:length]] for r in records])


def draw(runs: Runs, path: Path) -> None:
    """Figure 5's runs by both clocks above, the other optimizers' training losses below."""
    figure = Figure(figsize=(12, 10.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(7.5, 3), squeeze=False)[:, 0]
    axes = above.subplots(len(COLUMNS), len(CLOCKS), sharex="col", sharey="row")
    for row, column in zip(axes, COLUMNS, strict=True):
        for axis, clock in zip(row, CLOCKS, strict=True):
            draw_group(axis, runs, FIGURE_5, clock, column)
        row[0].set_ylabel(COLUMNS[column])
    axes[0, 1].set_xscale("log")
    for axis, label in zip(axes[1], CLOCKS.values(), strict=True):
        axis.set_xlabel(label)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    above.legend(lines, labels, loc="outside upper center", ncols=5, frameon=False)

    small = below.subplots(1, len(OTHERS))
    for axis, (title, names) in zip(small, OTHERS.items(), strict=True):
        draw_group(axis, runs, names, "epoch", "train_loss")
        axis.set_title(title)
        axis.set_xlabel("epochs")
        axis.legend(*axis.get_legend_handles_labels(), frameon=False, fontsize="small")
    small[0].set_ylabel("training loss")
    figure.savefig(path, dpi=130)


def draw_group(axis: Axes, runs: Runs, names: Sequence[str], clock: str, column: str) -> None:
    """The runs of these names: medians and bands."""
    scale = 100 if column == "test_accuracy" else 1
    for name in names:
        if records := runs.get(name):
            # Where the batch size is learned, the seeds' updates differ.
            times = np.median(values(records, clock), axis=0)
            middle = np.quantile(values(records, column), (0.25, 0.5, 0.75), axis=0)
            low, median, high = scale * middle
            colour = next(COLOURS[part] for part in COLOURS if part in name)
            axis.plot(times, median, color=colour, label=name.replace("_", " "))
            axis.fill_between(times, low, high, color=colour, alpha=0.15, linewidth=0)
    if clock == "epoch":
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    plain(axis)


def largest_difference(
    records: Sequence[Record], reference: Sequence[Record]
) -> tuple[float, float, float]:
    """Where the mean training losses of two runs are farthest apart.

    Returns:
        Epoch, difference, and its standard error; NaN for single seeds.
    """
    losses = [values(of_run, "train_loss") for of_run in (records, reference)]
    length = min(loss.shape[1] for loss in losses)
    mine, other = (loss[:, :length] for loss in losses)
    differences = mine.mean(axis=0) - other.mean(axis=0)
    worst = int(np.argmax(np.abs(differences)))
    variances = [
        statistics.variance(loss[:, worst]) / len(loss) if len(loss) > 1 else math.nan
        for loss in (mine, other)
    ]
    epoch = float(values(reference, "epoch")[0, worst])
    return epoch, float(differences[worst]), math.sqrt(sum(variances))


def table(runs: Runs) -> str:
    """A row a run, as Markdown."""
    lines = [
        "| run | updates | test accuracy, % | published, % | largest difference in training loss |",
        "|---|---:|---:|---:|---|",
    ]
    for names in (FIGURE_5, *OTHERS.values()):
        for name in names:
            if runs.get(name):
                lines.append(row(runs, name, reference=names[0]))
    return "\n".join(lines)


def row(runs: Runs, name: str, reference: str) -> str:
    """One line of the table."""
    records = runs[name]
    updates = statistics.median(record.evaluations[-1]["step"] for record in records)
    final = [100 * record.evaluations[-1]["test_accuracy"] for record in records]
    spread = f" ± {statistics.stdev(final):.2f}" if len(final) > 1 else ""
    accuracy = f"{statistics.fmean(final):.2f}{spread} (n={len(final)})"
    difference = ""
    if name != reference and runs.get(reference):
        epoch, apart, error = largest_difference(records, runs[reference])
        difference = f"{apart:+.3f} ± {error:.3f} to {reference}, epoch {epoch:.3g}"
    published = PUBLISHED.get(name, "")
    return f"| {name} | {updates:,.0f} | {accuracy} | {published} | {difference} |"


def main(records: Path) -> None:
    """Reads them, draws beside them, prints."""
    runs = load(records)
    draw(runs, records.parent / "curves.png")
    print(table(runs))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/dont_decay/records"))
