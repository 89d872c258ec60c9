"""A progress bar over the examples of one run or of many."""

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from jaxsched.tasks import LOSS, Metric
from jaxsched.text import visible
from jaxsched.train import Evaluation

# The time left is estimated from the speed over so many seconds: long enough to hold compilations
# and evaluations too. Rich itself keeps no more than the last thousand measurements.
_SPEED_SECONDS = 86_400.0


def print_line(text: str | Text, console: Console) -> None:
    """Prints a line as it is: brackets are no markup, and a long line is not wrapped."""
    line = visible(text) if isinstance(text, str) else text
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class Progress:
    """A progress bar: the current run, the share of work done, the last main metric, the time left.

    Work is counted in examples, because an example takes about the same time at every batch size,
    or in any other unit that all runs share.

    Args:
        console: the console to draw on. In a file or a pipe nothing moves.

    Example:
        >>> from rich.console import Console
        >>> with Progress(Console(quiet=True)) as progress:
        ...     progress.start(2000)
        ...     run = progress.run("cosine, seed 0")
        ...     run.done(500)
        ...     run.end(1000, "")
        ...     progress.fraction
        0.5
    """

    def __init__(self, console: Console):
        self._console = console
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[metric]} ETA"),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=_SPEED_SECONDS,
        )
        self._task = self._bar.add_task("", total=None, metric="", visible=False)
        self._ended = 0

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def is_in_place(self) -> bool:
        """Whether the bar moves in its place, as in a terminal; a file or a pipe gets lines."""
        return self._console.is_terminal

    @property
    def width(self) -> int:
        """The number of characters of a line."""
        return self._console.width

    @property
    def fraction(self) -> float:
        """The share of all work that is done."""
        (task,) = self._bar.tasks
        return task.percentage / 100

    def start(self, left: int) -> None:
        """Shows the bar, with `left` units of work beside those of the runs that have ended."""
        self._bar.update(self._task, total=self._ended + left, visible=True)

    def show(self, what: str) -> None:
        """Shows a text before the bar, such as the name of the current run."""
        self._bar.update(self._task, description=what)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        print_line(text, self._console)

    def run(self, label: str, metric: Metric = LOSS, *, begun: int = 0) -> "RunProgress":
        """Shows a run, or several at once.

        Args:
            label: its name.
            metric: the metric to show of its evaluations.
            begun: the units of its work that are done already.
        """
        self.show(label)
        return RunProgress(self, label, metric, begun)

    def advance(self, work: int) -> None:
        """Adds the work that was done since the last call."""
        self._bar.advance(self._task, work)

    def end_run(self, work: int) -> None:
        """Notes the work of a run that has ended, which `start` adds to the work that is left."""
        self._ended += work

    def show_metric(self, row: Evaluation, metric: Metric) -> None:
        """Shows a metric of a row on the test set, and that of its average."""
        value = row.metrics[f"test_{metric.name}"]
        average = row.metrics[f"averaged_test_{metric.name}"]
        averaged = "" if average is None else f", averaged {metric.show(average)}"
        self._bar.update(self._task, metric=f"{metric.name} {metric.show(value)}{averaged}")


class RunProgress:
    """The progress of one run; made by `Progress.run`."""

    def __init__(self, progress: Progress, label: str, metric: Metric, begun: int):
        self._progress, self._label, self._metric = progress, label, metric
        self._begun = self._done = begun

    def done(self, work: int) -> None:
        """Shows that `work` units of this run are done in all."""
        self._progress.advance(work - self._done)
        self._done = work

    def evaluation(self, row: Evaluation) -> None:
        """Shows a row of this run."""
        self.done(row.examples)
        self._progress.show(self._label)
        self._progress.show_metric(row, self._metric)

    def end(self, work: int, reason: str) -> None:
        """Counts this run as done.

        Args:
            work: all work of this run, also what was not done because it ended early.
            reason: why it ended early, which is printed; "" if it did not.
        """
        self.done(work)
        self._progress.end_run(work - self._begun)
        if reason:
            self._progress.say(f"{self._label}: {reason}")
