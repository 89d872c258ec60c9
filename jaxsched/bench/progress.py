"""A progress bar over the updates of one run or of a whole study."""

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxsched.train import Evaluation


class Progress:
    """Shows what runs, how many of all updates are done, the last accuracy and the time left.

    Args:
        console: where to draw; in a file or a pipe nothing moves.
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
        )
        self._task = self._bar.add_task("", total=None, accuracy="", visible=False)
        self._done_before = 0

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, total_updates: int) -> None:
        """Shows the bar, for so many updates in all."""
        self._bar.update(self._task, total=total_updates, visible=True)

    def show(self, what: str) -> None:
        """Says what runs now."""
        self._bar.update(self._task, description=what)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def updates(self, step: int) -> None:
        """Takes how many updates of this run are done."""
        self._bar.update(self._task, completed=self._done_before + step)

    def evaluation(self, row: Evaluation) -> None:
        """Takes a row of this run."""
        self.updates(row.step)
        average = row.averaged_test_accuracy
        averaged = "" if average is None else f", averaged {average:.2%}"
        self._bar.update(self._task, accuracy=f"accuracy {row.test_accuracy:.2%}{averaged}")

    def end_run(self, total_updates: int, reason: str) -> None:
        """Counts this run as done; says why where it ended early."""
        self._done_before += total_updates
        self.updates(0)
        if reason:
            self.say(f"{self._bar.tasks[0].description}: {reason}")
