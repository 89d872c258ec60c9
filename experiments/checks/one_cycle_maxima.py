"""Does a range test find the best maximum of a 1cycle run? A comparison with a grid of eight.

    python experiments/checks/one_cycle_maxima.py                # all tasks
    python experiments/checks/one_cycle_maxima.py digits         # or cifar10, group_norm

`data` holds CIFAR-10's official files. A range test (200 updates, three seeds) suggests a maximum
by each rule. Then 1cycle runs are made at every maximum of the grid and at that of every rule:

    digits        ResNet-8 (width 8), 20 epochs, ten seeds
    cifar10       ResNet-8 (width 8), the first 10,000 images, 8 epochs at batch 64, three seeds
    group_norm    the same with group norm, 5,000 images, 8 epochs at batch 32, three seeds

The recommended rule, `bottom`, was chosen by the grids of the first two tasks, before the third was
run. Records and curves are written into `runs/one_cycle_maxima`, from which the command goes on
after an interrupt; table and figure into `experiments/results/one_cycle_maxima`. About an hour on
one core.
"""

import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

import jaxsched as js
from jaxsched import bench, tracking
from jaxsched.data import Augment, Cifar10, Digits, Subset
from jaxsched.experiment import Experiment
from jaxsched.lr_finder.suggest import MAXIMUM_RULE
from jaxsched.models import CifarResNet, GroupNorm
from jaxsched.plotting.style import COLOURS, plain
from jaxsched.tasks import ImageClassification
from jaxsched.text import markdown_rows
from jaxsched.train import keep_compiled, split_cpu
from jaxsched.tune import RangeTest, RangeTestRuns

RUNS = Path("runs/one_cycle_maxima")
RESULTS = Path(__file__).parents[1] / "results" / "one_cycle_maxima"
SOURCE = Path(__file__).read_text(encoding="utf-8")
GRID = tuple(0.025 * 2**k for k in range(8))
# Without `smith_min`, which says where the losses start to fall: no maximum.
RULES = ("steepest", "valley", "minimum_tenth", "smith_max", "bottom")

digits = Experiment(
    name="digits",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Digits(), augment=Augment(pad=1, flip=False)
    ),
    phases=(js.Phase(epochs=20, batch_size=32),),
    optimizer=js.SGD(0.1, weight_decay=5e-4),
)
cifar10 = Experiment(
    name="cifar10",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Subset(Cifar10("data"), num_train=10_000)
    ),
    phases=(js.Phase(epochs=8, batch_size=64),),
    optimizer=js.SGD(0.1, weight_decay=5e-4),
    evaluate_every=4.0,
)
group_norm = dataclasses.replace(
    cifar10.with_task(
        model=CifarResNet(depth=8, width=8, norm=GroupNorm()),
        data=Subset(Cifar10("data"), num_train=5000),
    ),
    name="group_norm",
    phases=(js.Phase(epochs=8, batch_size=32),),
)
SEEDS = {"digits": tuple(range(10)), "cifar10": (0, 1, 2), "group_norm": (0, 1, 2)}
TASKS = {task.name: (task, SEEDS[task.name]) for task in (digits, cifar10, group_norm)}


def one_cycle(task: Experiment, maximum: float, name: str) -> Experiment:
    """The task with 1cycle to this maximum."""
    lr = js.OneCycle(maximum, duration="100%")
    optimizer = dataclasses.replace(task.optimizer, lr=lr, momentum=lr.momentum(0.95, 0.85))
    return dataclasses.replace(task, name=f"{task.name}_{name}", optimizer=optimizer)


def suggested(task: Experiment, console: Console) -> js.Suggestions:
    """Runs the task's range test and reads the suggestions off it."""
    test = RangeTest()
    runs = RangeTestRuns(
        one_cycle(task, GRID[0], "test"),
        tracking.load(task.task.data),
        test,
        RUNS / "curves",
        source_text=SOURCE,
    )
    with tracking.Progress(console) as progress:
        runs.run(progress)
    return js.suggest([runs.curves[seed] for seed in test.seeds])


def accuracies(
    task: Experiment, maxima: dict[str, float], seeds: Sequence[int], console: Console
) -> dict[str, list[float]]:
    """Trains every seed at every maximum; returns the final test accuracies in per cent."""
    study = bench.Study(
        name=task.name,
        experiments=tuple(one_cycle(task, lr, name) for name, lr in maxima.items()),
        seeds=tuple(seeds),
        target=0.5,
    )
    with tracking.Progress(console) as progress:
        bench.run_study(study, RUNS / "records", source_text=SOURCE, progress=progress)
    found: dict[str, list[float]] = {name: [] for name in maxima}
    for record in bench.study_records(study, RUNS / "records"):
        # A run that diverged before its first evaluation has learned nothing: one class of ten.
        last = record.evaluations[-1]["test_accuracy"] if record.evaluations else 0.1
        found[record.name.removeprefix(f"{task.name}_")].append(100 * last)
    return found


def measured(task: Experiment, seeds: Sequence[int], console: Console) -> dict[str, Any]:
    """Measures the task's grid and each rule's maximum; returns plain data."""
    suggestions = suggested(task, console)
    # Rounded to the digits that a person would write.
    rules = {
        rule: None
        if (median := suggestions.by_rule[rule].median) is None
        else float(f"{median:.3g}")
        for rule in RULES
    }
    grid = accuracies(task, {f"grid_{lr:g}": lr for lr in GRID}, seeds, console)
    found = accuracies(
        task, {f"at_{lr:g}": lr for lr in rules.values() if lr is not None}, seeds, console
    )
    return {
        "seeds": list(seeds),
        "grid": {lr: grid[f"grid_{lr:g}"] for lr in GRID},
        "rules": {
            rule: {"maximum": lr, "accuracies": [] if lr is None else found[f"at_{lr:g}"]}
            for rule, lr in rules.items()
        },
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown table: the accuracy at each rule's maximum minus the grid's best."""
    best = [f"{_mean_sd(values)} at {lr:g}" for lr, values in map(best_of, found.values())]
    rows = [["maximum by", *found], ["best of the grid of 8", *best]]
    for rule in RULES:
        cells = []
        for of_task in found.values():
            at, best_at = of_task["rules"][rule], best_of(of_task)[1]
            if at["maximum"] is None:
                cells.append("none")
                continue
            behind = statistics.mean(at["accuracies"]) - statistics.mean(best_at)
            cells.append(f"{behind:+.2f} at {at['maximum']:.2g}")
        name = f"`{rule}`, recommended" if rule == MAXIMUM_RULE else f"`{rule}`"
        rows.append([name, *cells])
    return markdown_rows(rows)


def best_of(of_task: dict[str, Any]) -> tuple[float, list[float]]:
    """Returns the grid's maximum with the highest mean accuracy, and its accuracies."""
    return max(of_task["grid"].items(), key=lambda entry: statistics.mean(entry[1]))


def _mean_sd(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} (n={len(values)})"


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draws final accuracy against the maximum, with a point for each rule."""
    figure = Figure(figsize=(4.2 * len(found), 4.2), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, (name, of_task) in zip(panels, found.items(), strict=True):
        means = [statistics.mean(values) for values in of_task["grid"].values()]
        sds = [statistics.stdev(values) for values in of_task["grid"].values()]
        plain(axis).errorbar(
            list(of_task["grid"]), means, sds, color="black", marker="o", capsize=2, label="grid"
        )
        for rule, colour in zip(RULES, COLOURS, strict=False):
            at = of_task["rules"][rule]
            if at["accuracies"]:
                height = statistics.mean(at["accuracies"])
                size = 130 if rule == MAXIMUM_RULE else 60
                style = {"color": colour, "s": size, "zorder": 3, "marker": "D", "alpha": 0.9}
                axis.scatter(at["maximum"], height, label=rule, **style)
        axis.axhspan(max(means) - 0.5, max(means), color="black", alpha=0.1, linewidth=0)
        # A maximum at which runs diverge would flatten the rest of the curve.
        axis.set_ylim(max(means) - 12 if max(means) < 90 else max(means) - 3, max(means) + 1.5)
        title = f"{name} (n={len(of_task['seeds'])})"
        axis.set(xscale="log", xlabel="maximum of the learning rate", title=title)
    panels[0].set_ylabel("final test accuracy, %")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    split_cpu()
    keep_compiled()
    console = Console()
    chosen = sys.argv[1:] or list(TASKS)
    found = {name: measured(*TASKS[name], console) for name in chosen}
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"environment": tracking.environment(), "tasks": found}
    text = json.dumps(content, indent=1) + "\n"
    (RESULTS / "maxima.json").write_text(text, encoding="utf-8")
    draw(found, RESULTS / "maxima.png")
    print(table(found), end="")
