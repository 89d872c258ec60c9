"""Draws loss and |w|² against epochs for `experiments/studies/language_abel.py`.

    python experiments/studies/language_abel_figure.py [FOLDER]

FOLDER is the study's folder, `runs/language_abel` by default; the figure is written into it. Prints
a table of the final losses and of what the norm did.
"""

import itertools
import statistics
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
SCHEDULES = {"linear": "#009E73", "late": "#D55E00", "abel": "#0072B2"}
SETTINGS = {"adam": "Adam, no weight decay", "adamw": "AdamW, weight decay 0.1"}


def draw(runs: Any, path: Path) -> None:
    """Draws a column for each optimizer: loss on held-out text above, |w|² below."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, len(SETTINGS), sharex=True, sharey="row", squeeze=False)
    for (above, below), (setting, title) in zip(axes.T, SETTINGS.items(), strict=True):
        for schedule, colour in SCHEDULES.items():
            records = runs.get(f"{schedule}_{setting}", ())
            # Without a bounce ABEL equals the late decay: both lines must be visible.
            style = {"color": colour, "linestyle": "--" if schedule == "abel" else "-"}
            figures.draw_curve(above, records, "test_loss", "epoch", label=schedule, **style)
            figures.draw_curve(below, records, "squared_norm", "epoch", **style)
        above.set_title(title)
        below.set_xlabel("epochs")
        below.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("loss on held-out text, nats a byte")
    axes[1, 0].set_ylabel("|w|²")
    for axis in axes.flat:
        plain(axis)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=130)


def table(runs: Any) -> str:
    """Final loss, mean ± sd over the seeds, the norm's falls and ABEL's decays, as Markdown."""
    rows = [
        [schedule, *(cell(runs.get(f"{schedule}_{setting}", ())) for setting in SETTINGS)]
        for schedule in SCHEDULES
    ]
    return markdown_rows([["", *SETTINGS.values()], *rows])


def cell(records: Sequence[Record]) -> str:
    """One entry of the table."""
    if not records:
        return "not run"
    losses = [record.evaluations[-1]["test_loss"] for record in records]
    spread = statistics.stdev(losses) if len(losses) > 1 else 0.0
    falls = sum(map(falling_epochs, records))
    norm = f"|w|² falls in {falls} of {sum(len(r.evaluations) - 1 for r in records)} epochs"
    states = [record.evaluations[-1]["abel"] for record in records]
    decays = sorted({state["num_decays"] for state in states if state})
    note = f"; {' or '.join(map(str, decays))} decay" if decays else ""
    return f"{statistics.fmean(losses):.3f} ± {spread:.3f} (n={len(losses)}; {norm}{note})"


def falling_epochs(record: Record) -> int:
    """Counts the epochs at whose end the norm is lower than at the end of the one before."""
    norms = [row["squared_norm"] for row in record.evaluations]
    return sum(after < before for before, after in itertools.pairwise(norms))


if __name__ == "__main__":
    figures.main("language_abel", FIGURE, draw, table)
