"""The picture of one run: its losses, its main metric, and the hyper-parameters that it used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsched.experiment import Preview
from jaxsched.extras import require_extra
from jaxsched.metric import Metric
from jaxsched.plotting.style import COLOURS, plain, save_figure
from jaxsched.tasks import LOSS
from jaxsched.text import title, to_seven_digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PLANNED = "0.7"  # a light grey
# Fewer evaluations are drawn as points too: one alone has no line.
_FEW = 40
# A loss that falls by more is drawn on a logarithmic axis.
_WIDE = 30.0


def draw_run(
    rows: Sequence[Mapping[str, Any]],
    main: Metric,
    path: Path,
    *,
    heading: str,
    planned: Preview | None = None,
) -> None:
    """Draws the evaluations of a run against epochs, and its learning rate and batch size below.

    A hyper-parameter that never changes is told in words, in place of a flat line.

    Args:
        rows: the run's rows, at least one, as records have them.
        main: the task's main metric.
        path: the image file to write.
        heading: the text above the picture, such as the run's name and how far it is.
        planned: the hyper-parameters of the whole run, drawn behind those that were used.
    """
    require_extra("Plotting a run", "plot", "matplotlib")
    from matplotlib.figure import Figure

    metrics = {metric.name: metric for metric in (LOSS, main)}
    hyperparameters, constants = _changing(rows, planned)
    panels = [row for row in (list(metrics), hyperparameters) if row]
    figure = Figure(figsize=(10, 0.8 + 2.9 * len(panels)), layout="constrained")
    # A row of one panel is as wide as a row of two.
    mosaic: Any = [row * (2 // len(row)) for row in panels]
    axes = figure.subplot_mosaic(mosaic)
    for axis in axes.values():
        plain(axis)
        axis.set_xlabel("epochs")
    for name, metric in metrics.items():
        _draw_metric(axes[name], rows, metric)
    for name in hyperparameters:
        _draw_hyperparameter(axes[name], rows, name, planned)
    figure.suptitle("\n".join(filter(None, (heading, ", ".join(constants)))), fontsize="medium")
    save_figure(figure, path)


def _draw_metric(axis: "Axes", rows: Sequence[Mapping[str, Any]], metric: Metric) -> None:
    epochs = _column(rows, "epoch")
    splits = {
        "train": {"color": COLOURS[0], "linestyle": "-"},
        "test": {"color": COLOURS[1], "linestyle": "-"},
        "averaged_test": {"color": COLOURS[2], "linestyle": ":", "linewidth": 2.2},
    }
    drawn = []
    for split, style in splits.items():
        values = _column(rows, f"{split}_{metric.name}")
        if not np.isfinite(values).any():
            continue
        newest = values[np.isfinite(values)][-1]
        axis.plot(
            epochs,
            metric.scale * values,
            **style,
            marker="." if len(rows) < _FEW else None,
            label=f"{title(split)} {metric.show(newest)}",
        )
        drawn.append(values[np.isfinite(values)])
    axis.set_ylabel(f"{title(metric.name)}{metric.unit}")
    if not drawn:
        axis.text(0.5, 0.5, "no finite value", ha="center", transform=axis.transAxes)
        return
    axis.legend(frameon=False, fontsize="small")
    every = np.concatenate(drawn)
    if not metric.is_share and 0 < every.min() < every.max() / _WIDE:
        axis.set_yscale("log")


def _draw_hyperparameter(
    axis: "Axes", rows: Sequence[Mapping[str, Any]], name: str, planned: Preview | None
) -> None:
    epochs, used = _column(rows, "epoch"), _column(rows, name)
    values = _planned(planned, name)
    if planned is not None and values is not None:
        axis.step(planned.epochs, values, where="post", color=_PLANNED, label="planned")
        axis.plot(epochs, used, ".", color=COLOURS[0], label="used at evaluations")
        axis.legend(frameon=False, fontsize="small")
    else:
        # A row has the values of the last update before it.
        axis.step(epochs, used, ".-", where="pre", color=COLOURS[0])
    axis.set_ylabel(title(name))
    axis.set_ylim(bottom=0)


def _changing(
    rows: Sequence[Mapping[str, Any]], planned: Preview | None
) -> tuple[list[str], list[str]]:
    """The hyper-parameters to draw, and sentences about those that are constant."""
    changing, constants = [], []
    for name in ("learning_rate", "batch_size"):
        values = _column(rows, name)
        if (later := _planned(planned, name)) is not None:
            values = np.concatenate([values, later])
        # In single precision, because schedules compute in it.
        found = np.unique(values[np.isfinite(values)].astype(np.float32))
        if len(found) > 1:
            changing.append(name)
        elif len(found):
            constants.append(f"{title(name)} {to_seven_digits(float(found[0])):.6g} throughout")
    return changing, constants


def _planned(planned: Preview | None, name: str) -> np.ndarray | None:
    curves = planned.curves if planned is not None else {}
    # SGD and Adam call it lr, optimizers of Optax by its whole name.
    return curves.get(name, curves.get("lr") if name == "learning_rate" else None)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """The values of a column, NaN where a row has none or none that is finite."""
    values = [row.get(name) for row in rows]
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    return np.where(np.isfinite(numbers), numbers, np.nan)
