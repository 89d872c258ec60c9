"""Draws `experiments/studies/abel.py`: accuracy and |w|² against epochs, with and without L2.

    python experiments/studies/abel_picture.py [RECORDS]

RECORDS is the folder of the study's records, `runs/abel/records` by default; the picture is written
beside it. Prints the table of final accuracies by setting.
"""

import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxsched.plotting.style import plain
from jaxsched.tracking import Record, read_record

SCHEDULES = {"late": "#D55E00", "steps": "#CC79A7", "cosine": "#009E73", "abel": "#0072B2"}
SETTINGS = {
    "l2_aug": "L2, augmented",
    "l2": "L2, not augmented",
    "aug": "no L2, augmented",
    "none": "no L2, not augmented",
}
Runs = Mapping[tuple[str, str], Sequence[Record]]


def load(folder: Path) -> Runs:
    """The finished runs by schedule and setting."""
    runs = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        record = read_record(path)
        if record.is_complete:
            schedule, _, setting = record.name.partition("_")
            runs[schedule, setting].append(record)
    return runs


def mean_over_seeds(records: Sequence[Record], column: str) -> tuple[Any, Any]:
    """Epochs, and the mean of a column."""
    length = min(len(record.evaluations) for record in records)
    rows = [record.evaluations[:length] for record in records]
    values = np.mean([[row[column] for row in run] for run in rows], axis=0)
    return [row["epoch"] for row in rows[0]], values


def draw(runs: Runs, path: Path) -> None:
    """A column a setting: accuracy above, |w|² below."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    axes = figure.subplots(2, len(SETTINGS), sharex=True, squeeze=False)
    for axis in axes[0, 1:]:
        axis.sharey(axes[0, 0])
    for column, (setting, title) in zip(axes.T, SETTINGS.items(), strict=True):
        for schedule, colour in SCHEDULES.items():
            records = runs.get((schedule, setting))
            if not records:
                continue
            # Without a bounce ABEL is the late decay: both lines have to be seen.
            style: dict[str, Any] = {"color": colour, "ls": "--" if schedule == "abel" else "-"}
            epochs, accuracy = mean_over_seeds(records, "test_accuracy")
            column[0].plot(epochs, 100 * accuracy, label=schedule, **style)
            epochs, norm = mean_over_seeds(records, "squared_norm")
            column[1].plot(epochs, norm, **style)
        column[0].set_title(title)
        column[1].set_xlabel("epochs")
        column[1].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("test accuracy, %")
    axes[1, 0].set_ylabel("|w|²")
    for axis in axes.flat:
        plain(axis)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def table(runs: Runs) -> str:
    """Final accuracy, mean ± sd over the seeds, and how often ABEL decayed, as Markdown."""
    lines = [
        "| | " + " | ".join(SETTINGS.values()) + " |",
        "|---|" + "---:|" * len(SETTINGS),
    ]
    for schedule in SCHEDULES:
        cells = [cell(runs.get((schedule, setting), ())) for setting in SETTINGS]
        lines.append(f"| {schedule} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(records: Sequence[Record]) -> str:
    """One entry of the table."""
    final = [100 * record.evaluations[-1]["test_accuracy"] for record in records]
    if not final:
        return "not run"
    spread = f" ± {statistics.stdev(final):.2f}" if len(final) > 1 else ""
    abel = [record.evaluations[-1]["abel"] for record in records]
    decays = [str(memory["num_decays"]) for memory in abel if memory]
    after = f", {' and '.join(decays)} decays" if decays else ""
    return f"{statistics.fmean(final):.2f}{spread} (n={len(final)}{after})"


def main() -> None:
    """Reads, draws, prints."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/abel/records")
    runs = load(folder)
    draw(runs, folder.parent / "norms.png")
    print(table(runs))


if __name__ == "__main__":
    main()
