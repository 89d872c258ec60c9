"""A run's evaluations as they come: a table that grows in a terminal, a line each elsewhere."""

from collections.abc import Sequence

from jaxsched.tasks import Metric
from jaxsched.text import title
from jaxsched.tracking.progress import Progress
from jaxsched.train import Evaluation

_GAP = "  "


class EvaluationTable:
    """Prints each evaluation of a run above its progress bar.

    A file or a pipe gets lines that can be read, or searched, one by one. A terminal gets rows
    under a heading, of as many columns as its width holds; the main metric goes last.

    Args:
        progress: the progress that prints.
        metrics: the task's metrics.
        main: the one of them that tells most.
        has_average: whether the run has an average.
    """

    def __init__(
        self, progress: Progress, metrics: Sequence[Metric], main: Metric, *, has_average: bool
    ):
        self._progress = progress
        splits = ("train", "test", "averaged") if has_average else ("train", "test")
        self._metrics = {
            f"{split} {title(m.name)}": (split, m) for m in metrics for split in splits
        }
        self._widths: dict[str, int] = {}
        names = [name for name, (_, metric) in self._metrics.items() if metric == main]
        self._main = [name for name in names if not name.startswith("train")]

    def add(self, row: Evaluation) -> None:
        """Prints a row."""
        cells = self._cells(row)
        if self._progress.is_in_place:
            self._progress.say(self._aligned(cells))
        else:
            cells["seconds"] += " s"
            metrics = ", ".join(f"{name} {cells[name]}" for name in self._metrics if cells[name])
            self._progress.say(
                f"epoch {cells['epoch']}, update {cells['update']}: {metrics}, {cells['seconds']}"
            )

    def _cells(self, row: Evaluation) -> dict[str, str]:
        """Returns the texts by column; "" for the value of an average that is empty."""
        cells = {"epoch": f"{row.epoch:.5g}", "update": f"{row.step:,}"}
        for name, (split, metric) in self._metrics.items():
            key = "averaged_test" if split == "averaged" else split
            value = row.metrics[f"{key}_{metric.name}"]
            cells[name] = "" if value is None else metric.show(value)
        return {**cells, "seconds": f"{row.train_seconds + row.evaluation_seconds:.0f}"}

    def _aligned(self, cells: dict[str, str]) -> str:
        """Returns the row in columns, the first one under their names."""
        rows = [cells]
        if not self._widths:
            self._widths = self._columns(cells)
            rows.insert(0, {name: name for name in cells})
        return "\n".join(
            _GAP.join(row[name].rjust(width) for name, width in self._widths.items())
            for row in rows
        )

    def _columns(self, cells: dict[str, str]) -> dict[str, int]:
        """Returns the widths of the columns that fit, chosen by how much they tell."""
        widths = {name: max(len(name), 8) for name in cells}
        tests = [name for name in cells if name.startswith("test")]
        chosen, left = set(), self._progress.width
        for name in dict.fromkeys(["epoch", *self._main, *tests, "update", *cells]):
            needed = widths[name] + (len(_GAP) if chosen else 0)
            if needed > left:
                break
            chosen.add(name)
            left -= needed
        return {name: width for name, width in widths.items() if name in chosen}
