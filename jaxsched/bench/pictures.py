"""The pictures of a study: accuracy against updates, and the schedules that made it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsched.bench.records import Record
from jaxsched.bench.study import Study
from jaxsched.plan import Plan

# Okabe and Ito's colours, told apart by colour-blind readers too; black is left for the target.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
_POINTS = 1001


def draw_accuracy(study: Study, records: Sequence[Record], path: Path) -> None:
    """Test accuracy against updates: the median over seeds, the band its middle half."""
    figure, (axis,) = _figure(rows=1)
    floor = study.target
    for colour, experiment in zip(_colours(study), study.experiments, strict=True):
        runs = [r for r in records if r.name == experiment.name and r.evaluations]
        if not runs:
            continue
        # A run that diverged has fewer rows; what is drawn ends where the first one ends.
        length = min(len(run.evaluations) for run in runs)
        steps = [row["step"] for row in runs[0].evaluations[:length]]
        accuracies = [[row["test_accuracy"] for row in run.evaluations[:length]] for run in runs]
        low, median, high = np.quantile(accuracies, (0.25, 0.5, 0.75), axis=0)
        axis.plot(steps, 100 * median, color=colour, label=f"{experiment.name} (n={len(runs)})")
        axis.fill_between(steps, 100 * low, 100 * high, color=colour, alpha=0.15, linewidth=0)
        floor = min(floor, *median[length // 4 :])
    axis.axhline(100 * study.target, color="black", linewidth=1, linestyle="--")
    axis.text(
        0.005, 100 * study.target, "target", va="bottom", transform=axis.get_yaxis_transform()
    )
    # The first quarter starts from chance; drawn in full it would flatten all the rest.
    axis.set_ylim(bottom=100 * floor - 2)
    axis.set(xlabel="updates", ylabel="test accuracy, %", title=study.name)
    axis.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


def draw_schedules(study: Study, plans: Sequence[Plan], path: Path) -> None:
    """Every scheduled hyper-parameter and the batch size against updates."""
    names = list(dict.fromkeys(n for e in study.experiments for n in e.optimizer.schedules()))
    figure, axes = _figure(rows=len(names) + 1)
    for colour, experiment, plan in zip(_colours(study), study.experiments, plans, strict=True):
        steps = np.unique(np.linspace(0, plan.total_steps, _POINTS).astype(int))
        schedules = experiment.optimizer.schedules()
        for axis, name in zip(axes, names, strict=False):
            if name in schedules:
                values = plan.schedule(schedules[name])(steps)
                axis.plot(steps, values, color=colour, label=experiment.name)
        sizes = [plan.batch_size_at(int(step)) for step in steps]
        axes[-1].step(steps, sizes, color=colour, label=experiment.name, where="post")
    for axis, name in zip(axes, [*names, "batch size"], strict=True):
        axis.set_ylabel(name.replace("_", " "))
    axes[0].legend(frameon=False)
    axes[-1].set_xlabel("updates")
    figure.savefig(path, dpi=150)


def _colours(study: Study) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(len(study.experiments))]


def _figure(rows: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(7.5, max(4.2, 1.7 * rows)), layout="constrained")
    axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25, linewidth=0.6)
    return figure, axes
