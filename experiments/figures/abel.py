"""Draws accuracy and |w|² against epochs for `experiments/studies/abel.py`.

    python experiments/figures/abel.py [FOLDER]

FOLDER is the study's folder, `runs/abel` by default; the figure is written into it. Prints a table
of the final accuracies by schedule and setting.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsched.experiment import load_module
from jaxsched.tracking import Record

figures = load_module(Path(__file__).with_name("drawing.py"))

FIGURE = "norms.png"
SCHEDULES = {"late": "#D55E00", "steps": "#CC79A7", "cosine": "#009E73", "abel": "#0072B2"}
SETTINGS = {
    "l2_aug": "L2, augmented",
    "l2": "L2, not augmented",
    "aug": "no L2, augmented",
    "none": "no L2, not augmented",
}


def draw(runs: Any, path: Path) -> None:
    """Draws a column for each setting with runs: test accuracy above, |w|² below."""
    figures.draw_norms(
        runs,
        path,
        schedules=SCHEDULES,
        settings=SETTINGS,
        quantity="test_accuracy",
        label="test accuracy, %",
        width=3.5,
        scale=100,
    )


def table(runs: Any) -> str:
    """Final accuracy, mean ± sd over the seeds, and how often ABEL decayed, as Markdown."""
    return figures.table_of_settings(runs, SCHEDULES, SETTINGS, cell)


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
