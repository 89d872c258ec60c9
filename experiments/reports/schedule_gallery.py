"""Draws the gallery of all schedule families.

    python experiments/reports/schedule_gallery.py

Writes experiments/results/schedule_gallery.png: a panel for each family, all with the same axes,
from the start to the end of a run and from zero to the peak.
"""

import pathlib
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

import jaxsched as js
from jaxsched.schedules.base import ScheduleLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = pathlib.Path(__file__).parents[1] / "results" / "schedule_gallery.png"
RUN = 100
COLUMNS = 4
INK, MUTED, GRID = "#22262b", "#6b7480", "#e6e9ed"
COLOURS = ("#1f5fbf", "#e07b1a", "#2f9e77", "#b03a8c", "#8a8f98")

# Where the lines of a panel leave room for the legend.
LEGENDS: dict[str, Any] = {
    "Rex": "lower left",
    "OneCycleMomentum": "lower right",
    "WSD": (0.11, 0.04),
    "Sequence": "upper left",
}
POINTS = ((0, 0.1), (25, 1.0), (55, 0.5), (65, 0.45), (RUN, 0.0))
PANELS: dict[str, ScheduleLike | dict[str, ScheduleLike]] = {
    "Constant": js.Constant(0.6),
    "Step": js.Step(1.0, 22, 0.5),
    "MultiStep": {
        "one factor": js.MultiStep(1.0, (30, 60, 80), 0.3),
        "a factor each": js.MultiStep(1.0, (20, 50, 80), (0.8, 0.5, 0.1)),
    },
    "Exponential": {
        "rate 0.98": js.Exponential(1.0, 0.98),
        "0.94, end 0.1": js.Exponential(1.0, 0.94, end=0.1),
    },
    "Linear": js.Linear(1.0, 0.0, RUN),
    "Polynomial": {
        **{f"power {power:g}": js.Polynomial(1.0, 0.0, RUN, power) for power in (0.5, 2.0, 4.0)},
        "cycle": js.Polynomial(1.0, 0.0, 20, 1.0, cycle=True),
    },
    "Cosine": {
        "exponent 1": js.Cosine(1.0, RUN),
        "exponent 2": js.Cosine(1.0, RUN, exponent=2),
        "k_decay 2": js.Cosine(1.0, RUN, k_decay=2),
    },
    "Tanh": {
        "-6 to 3, paper": js.Tanh(1.0, RUN),
        "-3 to 3": js.Tanh(1.0, RUN, lower=-3.0),
    },
    "Rex": {"alpha 0.5, paper": js.Rex(1.0, RUN), "alpha 0.9, port": js.Rex(1.0, RUN, alpha=0.9)},
    "InverseSqrt": {form: js.InverseSqrt(1.0, 15, form) for form in ("shifted", "held")},
    "InverseTime": {
        "smooth": js.InverseTime(1.0, 15),
        "in steps": js.InverseTime(1.0, 15, every=20),
        "power 0.75": js.InverseTime(1.0, 15, 0.75),
    },
    "Power": js.Power(1.0, 3.0, -0.51),
    "CosineRestarts": {
        "multiplier 2": js.CosineRestarts(1.0, 14.3, 2),
        "decay 0.6": js.CosineRestarts(1.0, 25, 1, 0.1, 0.6, cycles=3),
    },
    "Cyclic": {
        "triangular2": js.Cyclic(0.1, 1.0, 12.5, mode="triangular2"),
        "exp_range": js.Cyclic(0.1, 1.0, 12.5, mode="exp_range", gamma=0.985),
    },
    "OneCycle": {
        "two phases": js.OneCycle(1.0, RUN),
        "three, linear": js.OneCycle(1.0, RUN, anneal="linear", three_phase=True),
    },
    "OneCycleMomentum": {
        "two phases": js.OneCycleMomentum(RUN, 0.95, 0.8),
        "three, linear": js.OneCycleMomentum(RUN, 0.95, 0.8, anneal="linear", three_phase=True),
    },
    "SmithOneCycle": js.SmithOneCycle(0.1, 1.0, 45),
    "WSD": {
        shape: js.WSD(1.0, RUN, 40, 8, 0.02, 0.0, shape)
        for shape in ("1-square", "linear", "cosine", "1-sqrt", "exponential")
    },
    "SWAConstant": js.SWAConstant(1.0, 0.2, 75),
    "SWACyclic": js.SWACyclic(1.0, 0.2, 22, update=0.1),
    "Interpolate": {
        curve: js.Interpolate(POINTS, curve) for curve in ("linear", "cosine", "cubic")
    },
    "Function": {"1 / (1 + t / 10)": lambda t: 1 / (1 + t / 10)},
    "Warmup": {
        "linear": js.Warmup(js.Cosine(1.0, RUN), 25),
        "cosine": js.Warmup(js.Cosine(1.0, RUN), 25, curve="cosine"),
        "power 2": js.Warmup(js.Cosine(1.0, RUN), 25, power=2),
    },
    "Sequence": {
        "Linear, Constant, Rex": js.Sequence(
            (js.Linear(0.2, 0.8, 20), js.Constant(0.8), js.Rex(0.8, 50)), (20, 50)
        )
    },
    "Product": {"Cosine * Cyclic": js.Cosine(1.0, RUN) * js.Cyclic(0.4, 1.0, 10)},
    "Sum": {"Cosine + Cyclic": js.Cosine(0.7, RUN) + js.Cyclic(0.0, 0.3, 10)},
    "AtLeast": {"Step, floor 0.2": js.AtLeast(js.Step(1.0, 12, 0.7), 0.2)},
    "Stretch": {
        "MultiStep": js.MultiStep(1.0, (20, 45), 0.4),
        "stretched by 2": js.Stretch(js.MultiStep(1.0, (20, 45), 0.4), 2),
    },
}


def draw_panel(ax: "Axes", family: str, schedules: ScheduleLike | dict[str, ScheduleLike]) -> None:
    """Draws one family, with a legend where the lines leave room."""
    js.plot(schedules, RUN, ax=ax)
    for line, colour in zip(ax.get_lines(), COLOURS, strict=False):
        line.set(color=colour, linewidth=2.0, solid_joinstyle="round")
    if isinstance(schedules, dict):
        ax.legend(
            loc=LEGENDS.get(family, "upper right"),
            fontsize=9,
            frameon=False,
            handlelength=1.0,
            handletextpad=0.5,
            borderaxespad=0.2,
            labelspacing=0.2,
            labelcolor=INK,
        )
    ax.set(xlabel="", ylim=(-0.03, 1.09), xticks=(0, 50, 100), yticks=(0, 0.5, 1))
    ax.set_title(family, loc="left", fontsize=12, fontweight="bold", color=INK, pad=6)
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=9, labelcolor=MUTED)
    ax.spines[["left", "bottom"]].set_color(GRID)


def main() -> None:
    """Draws all panels and saves the figure."""
    rows = -(-len(PANELS) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(12.5, 2.35 * rows), sharex=True, sharey=True
    )
    for ax, (family, schedules) in zip(axes.flat, PANELS.items(), strict=True):
        draw_panel(ax, family, schedules)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.1)
    figure.supxlabel("percent of the run", fontsize=11, color=MUTED)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=120)
    print(FIGURE)


if __name__ == "__main__":
    main()
