"""Draws return and |w|² against updates for a study of `experiments/reinforcement/study.py`.

    python experiments/figures/reinforcement.py [FOLDER]

FOLDER is the folder of the study, with or without L2, `runs/reinforcement` by default; the figure
is written into it. Prints a table of what each schedule did.
"""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxsched.experiment import load_module
from jaxsched.plotting.style import plain
from jaxsched.text import markdown_rows
from jaxsched.tracking import Record
from jaxsched.tune.weight_norm.bounce import find_bounce

figures = load_module(Path(__file__).with_name("drawing.py"))

FIGURE = "norms.png"
COLOURS = {
    "constant": "#000000",
    "linear": "#56B4E9",
    "cosine": "#009E73",
    "late": "#D55E00",
    "abel": "#0072B2",
    "abel_guarded": "#CC79A7",
}
# |w|² before any update, the same for all seeds; see experiments/reinforcement/policy.py.
INITIAL_SQUARED_NORM = 273.0


def draw(runs: Any, path: Path) -> None:
    """Draws test return on the left and |w|² on the right; a dot is |w|² before any update."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    returns, norms = figure.subplots(1, 2)
    for name, colour in COLOURS.items():
        style = {"color": colour, "linestyle": "--" if name.startswith("abel") else "-"}
        records = runs.get(name, ())
        figures.draw_curve(returns, records, "test_return", "step", label=name, **style)
        figures.draw_curve(norms, records, "squared_norm", "step", **style)
    norms.plot([0], [INITIAL_SQUARED_NORM], "o", color="0.5", zorder=0)
    norms.set_ylim(bottom=0)
    for axis, label in ((returns, "return, 500 at most"), (norms, "|w|²")):
        axis.set_xlabel("updates")
        axis.set_ylabel(label)
        plain(axis)
    lines, labels = returns.get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=6, frameon=False)
    figure.savefig(path, dpi=130)


def table(runs: Any) -> str:
    """Returns a Markdown table: the learning rate and the weights under each schedule."""
    heading = ["", "peak learning rate", "last, median", "last |w|², median"]
    heading += ["|w|² bounces", "by, median", "ABEL's decays"]
    rows = [[name, *cells(name, runs[name])] for name in COLOURS if name in runs]
    return markdown_rows([heading, *rows])


def cells(name: str, records: Sequence[Record]) -> list[str]:
    """One row of the table, without its name."""
    last = [record.evaluations[-1] for record in records]
    bounces = [bounce(record) for record in records]
    peak = records[0].header["config"]["peak"]
    decays = [round(math.log10(peak / row["learning_rate"])) for row in last]
    return [
        f"{peak:g}",
        f"{statistics.median(row['learning_rate'] for row in last):.2g}",
        f"{statistics.median(row['squared_norm'] for row in last):.0f}",
        f"{sum(found.trend == 'bounces' for found in bounces)} of {len(records)}",
        f"{100 * statistics.median(min(found.fall, found.rise) for found in bounces):.1f} %",
        " or ".join(map(str, sorted(set(decays)))) if name.startswith("abel") else "",
    ]


def bounce(record: Record) -> Any:
    """The trend of |w|² from before any update on."""
    rows = record.evaluations
    steps = [0, *(row["step"] for row in rows)]
    return find_bounce(steps, [INITIAL_SQUARED_NORM, *(row["squared_norm"] for row in rows)])


if __name__ == "__main__":
    figures.main("reinforcement", FIGURE, draw, table)
