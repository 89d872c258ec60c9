"""The interface of an engine, which makes tasks on a cluster."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxsched.bench.study.engines.task import RunTask

# How often an engine looks whether a task has ended.
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """The end of a task.

    Attributes:
        task: the task.
        said: what it returned.
        error: why it ended without a result; "" if it did not.
    """

    task: RunTask
    said: str = ""
    error: str = ""


class Engine(Protocol):
    """A cluster's own queue."""

    def make(
        self, tasks: Sequence[RunTask], say: Callable[[str], None]
    ) -> Generator[Ended | None, None, None]:
        """Makes tasks; yields the end of each, and None from time to time.

        If it is closed before all tasks have ended, the others save themselves and end.

        Args:
            tasks: the tasks.
            say: says what the user has to know about them.
        """
        ...
