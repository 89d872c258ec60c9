"""Plots of the hyper-parameters of runs that have not run yet, as a figure and as text."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxsched.experiment import Preview
from jaxsched.extras import require_extra
from jaxsched.plotting.style import curve_style, plain, save_figure
from jaxsched.text import title


def draw_schedules(previews: Mapping[str, Preview], path: Path) -> None:
    """Draws every hyper-parameter over the run, against updates on the left and epochs beside.

    Args:
        previews: by an experiment's name, for the legend.
        path: the image file to write.
    """
    require_extra("Plotting schedules", "plot", "matplotlib")
    from matplotlib.figure import Figure

    names = _hyperparameters(previews)
    figure = Figure(figsize=(10, 1.2 + 1.5 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, sharex="col", sharey="row", squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for number, preview in enumerate(previews.values()):
            if name in preview.curves:
                for axis, times in zip(row, (preview.steps, preview.epochs), strict=True):
                    values = preview.curves[name]
                    # A schedule's value is in force until the next update: steps, no slopes.
                    axis.step(times, values, **curve_style(number), where="post", alpha=0.85)
        row[0].set_ylabel(title(name))
    for axis in axes.flat:
        plain(axis)
    axes[-1, 0].set_xlabel("updates")
    axes[-1, 1].set_xlabel("epochs")
    lines = axes[0, 0].get_lines()
    figure.legend(lines, list(previews), loc="outside upper center", ncols=4, frameon=False)
    save_figure(figure, path)


def image_suffixes() -> list[str]:
    """Returns the endings of the image files that can be drawn, the usual ones first."""
    require_extra("Plotting schedules", "plot", "matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    return sorted((f".{kind}" for kind in known), key=lambda s: (s not in (".png", ".svg"), s))


def text_schedules(
    previews: Mapping[str, Preview], *, width: int = 68, colour: bool, dots: bool = True
) -> str:
    """Plots every hyper-parameter against epochs as text for a terminal.

    Args:
        previews: by an experiment's name, for the legend.
        width: the width of a plot, in characters.
        colour: whether the terminal shows colours.
        dots: whether it shows Braille's dots; without them curves are drawn in ASCII.
    """
    require_extra("Plotting schedules", "plot", "uniplot")
    from uniplot import plot_to_string

    plots = []
    for name in _hyperparameters(previews):
        drawn = {key: p for key, p in previews.items() if name in p.curves}
        values = np.unique(np.concatenate([p.curves[name] for p in drawn.values()]))
        if len(values) == 1:
            plots.append(f"{title(name)}: {values[0]:.6g} throughout\n")
            continue
        text = plot_to_string(
            xs=[p.epochs for p in drawn.values()],
            ys=[p.curves[name] for p in drawn.values()],
            title=title(name),
            legend_labels=list(drawn),
            x_unit=" ep",
            width=width,
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
