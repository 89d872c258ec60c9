"""Plots of a run's hyper-parameters before it runs, as a picture and as text."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxsched.experiment import Preview
from jaxsched.extras import require_extra
from jaxsched.plotting.style import curve_style, plain


def draw_schedules(previews: Mapping[str, Preview], path: Path) -> None:
    """Every hyper-parameter over the run, against updates and against epochs."""
    require_extra("Plotting schedules", "plot", "matplotlib")
    from matplotlib.figure import Figure

    names = _curve_names(previews)
    figure = Figure(figsize=(10, 1.2 + 1.5 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, sharex="col", sharey="row", squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for number, shown in enumerate(previews.values()):
            if name in shown.curves:
                for axis, times in zip(row, (shown.steps, shown.epochs), strict=True):
                    values = shown.curves[name]
                    # A schedule holds its value until the next update.
                    axis.step(times, values, **curve_style(number), where="post", alpha=0.85)
        row[0].set_ylabel(name.replace("_", " "))
    for axis in axes.flat:
        plain(axis)
    axes[-1, 0].set_xlabel("updates")
    axes[-1, 1].set_xlabel("epochs")
    lines = axes[0, 0].get_lines()
    figure.legend(lines, list(previews), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=150)


def text_schedules(previews: Mapping[str, Preview], *, width: int = 68, colour: bool) -> str:
    """The same against epochs, as text for a terminal."""
    require_extra("Plotting schedules", "plot", "uniplot")
    from uniplot import plot_to_string

    plots = []
    for name in _curve_names(previews):
        shown = {key: p for key, p in previews.items() if name in p.curves}
        values = np.unique(np.concatenate([p.curves[name] for p in shown.values()]))
        if len(values) == 1:
            plots.append(f"{name.replace('_', ' ')}: {values[0]:.6g} throughout\n")
            continue
        text = plot_to_string(
            xs=[p.epochs for p in shown.values()],
            ys=[p.curves[name] for p in shown.values()],
            title=name.replace("_", " "),
            legend_labels=list(shown),
            x_unit=" ep",
            width=width,
            height=8,
            lines=True,
            color=colour,
            character_set="braille",
        )
        plots.append(text)
    return "\n".join(plots)


def _curve_names(previews: Mapping[str, Preview]) -> list[str]:
    return list(dict.fromkeys(name for shown in previews.values() for name in shown.curves))
