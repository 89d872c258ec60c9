"""Plots of the hyper-parameters of runs that have not run yet, as a figure and as text."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxsched.experiment import Preview
from jaxsched.extras import require_extra
from jaxsched.plotting.style import curve_style, plain, save_figure
from jaxsched.text import title


def draw_schedules(previews: Mapping[str, Preview], path: Path) -> None:
    """Draws every hyper-parameter over the run, against updates on the left and epochs beside.

    Those that never change are named below the others.

    Args:
        previews: by an experiment's name, for the legend.
        path: the image file to write.
    """
    require_extra("Plotting schedules", "plot", "matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    constants = {name: _constant(previews, name) for name in _hyperparameters(previews)}
    names = [name for name, value in constants.items() if value is None] or list(constants)[:1]
    figure = Figure(figsize=(10, 1.6 + 1.6 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, sharex="col", sharey="row", squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for number, preview in enumerate(previews.values()):
            if name in preview.curves:
                # The first ones are wider, so that they are seen below others of the same values.
                wider = 2 * (1 - (1 + number) / len(previews))
                style = {**curve_style(number), "linewidth": 1.4 + wider}
                for axis, times in zip(row, (preview.steps, preview.epochs), strict=True):
                    # A schedule's value is in force until the next update: steps, no slopes.
                    axis.step(times, preview.curves[name], **style, where="post")
        row[0].set_ylabel(_words(name))
    for axis in axes.flat:
        plain(axis)
        for axis_of_one in (axis.xaxis, axis.yaxis):
            axis_of_one.set_major_formatter("{x:,.6g}")
        axis.locator_params(axis="x", nbins=6)
    axes[-1, 0].set_xlabel("updates")
    axes[-1, 1].set_xlabel("epochs")
    figure.supxlabel(textwrap.fill(_caption(previews, constants), 120), fontsize=10)
    # About 120 characters fit in a line of the legend; an entry takes 8 more than its name.
    ncols = max(1, 120 // (8 + max(map(len, previews))))
    lines = [Line2D([], [], **curve_style(number)) for number in range(len(previews))]
    figure.legend(lines, list(previews), loc="outside upper center", ncols=ncols, frameon=False)
    save_figure(figure, path)


def image_suffixes() -> list[str]:
    """Returns the endings of the image files that can be drawn, the usual ones first."""
    require_extra("Plotting schedules", "plot", "matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    return sorted((f".{kind}" for kind in known), key=lambda s: (s not in (".png", ".svg"), s))


def text_schedules(
    previews: Mapping[str, Preview], *, width: int, colour: bool, dots: bool = True
) -> str:
    """Plots every hyper-parameter against epochs as text for a terminal.

    Args:
        previews: by an experiment's name, for the legend.
        width: the length of the longest line of a plot, in characters.
        colour: whether the terminal shows colours.
        dots: whether it shows Braille's dots; without them curves are drawn in ASCII.
    """
    require_extra("Plotting schedules", "plot", "uniplot")
    from uniplot import plot_to_string

    plots = []
    for name in _hyperparameters(previews):
        drawn = {key: p for key, p in previews.items() if name in p.curves}
        if (value := _constant(previews, name)) is not None:
            plots.append(f"{_throughout(name, value)}\n")
            continue
        text = plot_to_string(
            xs=[p.epochs for p in drawn.values()],
            ys=[p.curves[name] for p in drawn.values()],
            title=_words(name),
            legend_labels=list(drawn),
            x_unit=" ep",
            width=width,
            line_length_hard_cap=width,
            height=8,
            lines=True,
            color=colour,
            character_set="braille" if dots else "ascii",
        )
        plots.append(text)
    return "\n".join(plots)


def _hyperparameters(previews: Mapping[str, Preview]) -> list[str]:
    """The names of all hyper-parameters, each once, in the order of their first appearance."""
    return list(dict.fromkeys(name for preview in previews.values() for name in preview.curves))


def _constant(previews: Mapping[str, Preview], name: str) -> float | None:
    """The value that a hyper-parameter has throughout all runs; None if it changes or differs."""
    values = np.unique(
        np.concatenate([p.curves[name] for p in previews.values() if name in p.curves])
    )
    return float(values[0]) if len(values) == 1 else None


def _caption(previews: Mapping[str, Preview], constants: Mapping[str, float | None]) -> str:
    """Says what the curves do not show."""
    still = [f"{_words(key)} {value:,.6g}" for key, value in constants.items() if value is not None]
    unknown = {name: None for preview in previews.values() for name in preview.decided_later}
    return " ".join(
        [
            *([f"Throughout: {', '.join(still)}."] if still else []),
            *(f"What {title(name)} changes is decided during the run." for name in unknown),
        ]
    )


def _throughout(name: str, value: float) -> str:
    return f"{_words(name)}: {value:,.6g} throughout"


def _words(name: str) -> str:
    return "learning rate" if name == "lr" else title(name)
