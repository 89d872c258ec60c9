"""Draws accuracy and |w|² against epochs for `experiments/studies/abel.py`.

    python experiments/studies/abel_figure.py [FOLDER]

FOLDER is the study's folder, `runs/abel` by default; the figure is written into it. Prints a table
of the final accuracies by schedule and setting.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxsched.experiment import load_module
from jaxsched.plotting.style import plain
from jaxsched.text import markdown_rows
from jaxsched.tracking import Record

figures = load_module(Path(__file__).with_name("figures.py"))

FIGURE = "norms.png"
SCHEDULES = {"late": "#D55E00", "steps": "#CC79A7", "cosine": "#009E73", "abel": "#0072B2"}
SETTINGS = {
    "l2_aug": "L2, augmented",
    "l2": "L2, not augmented",
    "aug": "no L2, augmented",
    "none": "no L2, not augmented",
}


def draw(runs: Any, path: Path) -> None:
    """Draws a column for each setting: test accuracy above, |w|² below."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    axes = figure.subplots(2, len(SETTINGS), sharex=True, squeeze=False)
    for axis in axes[0, 1:]:
        axis.sharey(axes[0, 0])
    for (above, below), (setting, title) in zip(axes.T, SETTINGS.items(), strict=True):
        for schedule, colour in SCHEDULES.items():
            records = runs.get(f"{schedule}_{setting}", ())
            # Without a bounce ABEL equals the late decay: both lines must be visible.
            style = {"color": colour, "linestyle": "--" if schedule == "abel" else "-"}
            figures.draw_curve(
                above, records, "test_accuracy", "epoch", scale=100, label=schedule, **style
            )
            figures.draw_curve(below, records, "squared_norm", "epoch", **style)
        above.set_title(title)
        below.set_xlabel("epochs")
        below.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("test accuracy, %")
    axes[1, 0].set_ylabel("|w|²")
    for axis in axes.flat:
        plain(axis)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def table(runs: Any) -> str:
    """Final accuracy, mean ± sd over the seeds, and how often ABEL decayed, as Markdown."""
    rows = [
        [schedule, *(cell(runs.get(f"{schedule}_{setting}", ())) for setting in SETTINGS)]
        for schedule in SCHEDULES
    ]
    return markdown_rows([["", *SETTINGS.values()], *rows])


def cell(records: Sequence[Record]) -> str:
    """One entry of the table; the number of ABEL's decays, one for each seed, is in brackets."""
    if not records:
        return "not run"
    states = [record.evaluations[-1]["abel"] for record in records]
    decays = [str(state["num_decays"]) for state in states if state]
    note = f", {' and '.join(decays)} decays" if decays else ""
    return figures.accuracy_text(figures.final_accuracies(records), note)


if __name__ == "__main__":
    figures.main("abel", FIGURE, draw, table)
