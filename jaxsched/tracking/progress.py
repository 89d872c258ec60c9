"""A progress bar over the examples of one run or of many."""

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxsched.train import Evaluation

# The time left is told from the pace of the last so many seconds, in which there are compilations
# and evaluations too. Rich keeps the last thousand looks of them.
_PACE_SECONDS = 86_400.0


class Progress:
    """Shows what runs, how much of all work is done, the last accuracy and the time left.

    Work is counted in examples, which cost about the same whatever the batch size, or in anything
    else that all runs share.

    Args:
        console: where to draw; in a file or a pipe nothing moves.

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
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[accuracy]} ETA"),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=_PACE_SECONDS,
        )
        self._task = self._bar.add_task("", total=None, accuracy="", visible=False)
        self._ended = 0

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def fraction(self) -> float:
        """Of all work, what is done."""
        (task,) = self._bar.tasks
        return task.percentage / 100

    def start(self, left: int) -> None:
        """Shows the bar, for so much work beside that of the runs that have ended."""
        self._bar.update(self._task, total=self._ended + left, visible=True)

    def show(self, what: str) -> None:
        """Says what runs now."""
        self._bar.update(self._task, description=what)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def run(self, label: str, *, begun: int = 0) -> "RunProgress":
        """Shows a run, or several at once, of which so much was done before."""
        self.show(label)
        return RunProgress(self, label, begun)

    def advance(self, work: int) -> None:
        """Takes how much has been done since the last time."""
        self._bar.advance(self._task, work)

    def end_run(self, work: int) -> None:
        """Takes the work of a run that has ended."""
        self._ended += work

    def show_accuracy(self, row: Evaluation) -> None:
        """Shows that of a row."""
        average = row.averaged_test_accuracy
        averaged = "" if average is None else f", averaged {average:.2%}"
        self._bar.update(self._task, accuracy=f"accuracy {row.test_accuracy:.2%}{averaged}")


class RunProgress:
    """How far one run is; see `Progress.run`."""

    def __init__(self, progress: Progress, label: str, begun: int):
        self._progress, self._label = progress, label
        self._begun = self._done = begun

    def done(self, work: int) -> None:
        """Takes how much of this run is done in all."""
        self._progress.advance(work - self._done)
        self._done = work

    def evaluation(self, row: Evaluation) -> None:
        """Takes a row of this run."""
        self.done(row.examples)
        self._progress.show(self._label)
        self._progress.show_accuracy(row)

    def end(self, work: int, reason: str) -> None:
        """Counts this run as done, of which this is all; says why where it ended early."""
        self.done(work)
        self._progress.end_run(work - self._begun)
        if reason:
            self._progress.say(f"{self._label}: {reason}")
