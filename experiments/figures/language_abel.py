"""Draws loss and |w|² against epochs for `experiments/studies/language_abel.py`.

    python experiments/figures/language_abel.py [FOLDER]

FOLDER is the study's folder, `runs/language_abel` by default; the figure is written into it. Prints
a table of the final losses and of what the norm did.
"""

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsched.experiment import load_module
from jaxsched.tracking import Record

figures = load_module(Path(__file__).with_name("drawing.py"))

FIGURE = "norms.png"
SCHEDULES = {"linear": "#009E73", "late": "#D55E00", "abel": "#0072B2"}
SETTINGS = {"adam": "Adam, no weight decay", "adamw": "AdamW, weight decay 0.1"}


def draw(runs: Any, path: Path) -> None:
    """Draws a column for each optimizer: loss on held-out text above, |w|² below."""
    figures.draw_norms(
        runs,
        path,
        schedules=SCHEDULES,
        settings=SETTINGS,
        quantity="test_loss",
        label="loss on held-out text, nats a byte",
        width=4.5,
        shares_norms=True,
    )


def table(runs: Any) -> str:
    """Final loss, mean ± sd over the seeds, the norm's falls and ABEL's decays, as Markdown."""
    return figures.table_of_settings(runs, SCHEDULES, SETTINGS, cell)


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
