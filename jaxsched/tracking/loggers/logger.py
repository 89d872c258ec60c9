"""The base class of loggers, which are told about a run as it goes."""

from collections.abc import Mapping
from typing import Any


class Logger:
    """Is told about one run as it goes: its beginning, each evaluation and its end.

    Derive from it what sends a run elsewhere, and override what is of use. What it is told are the
    lines of the run's record, as JSON: a number that is not finite is text there, such as "nan",
    which `float` reads. Only the main process of a run logs.

    After a resume, a new logger is told the whole run once more, from its first row on, so that
    nothing is missing that an earlier one did not keep; `header["resumed_at"]` is the update at
    which the run went on, and None in a run that starts.

    A logger that raises is told no more, and the run goes on.

    Example:
        >>> import jaxsched as js
        >>> from flax import linen as nn
        >>> from jaxsched.tracking import Logger
        >>> from sklearn.datasets import load_digits
        >>> class Printer(Logger):
        ...     def start(self, header):
        ...         print(f"{header['name']}, seed {header['seed']}")
        ...     def evaluation(self, row):
        ...         print(f"update {row['step']}: accuracy above 0.5: {row['test_accuracy'] > 0.5}")
        ...     def end(self, status, reason):
        ...         print(status)
        >>> x, y = load_digits(return_X_y=True)
        >>> fitted = js.fit(
        ...     nn.Dense(10), (x / 16, y), optimizer=js.Adam(1e-2), epochs=2, loggers=[Printer()]
        ... )
        fit, seed 0
        update 13: accuracy above 0.5: True
        update 26: accuracy above 0.5: True
        finished
    """

    def start(self, header: Mapping[str, Any]) -> None:
        """Is called before the first update.

        Args:
            header: the first line of the record: the experiment's `name` and `digest`, the `seed`,
                the whole `config`, the task's `metrics`, the environment.
        """

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Is called with each row, once it is on disk; see `jaxsched.train.Evaluation`."""

    def end(self, status: str, reason: str) -> None:
        """Is called once, whatever ended the run.

        Args:
            status: "finished", "stopped" by a rule, "diverged", "failed" by an error, or
                "interrupted" by a signal, after which it can be resumed.
            reason: why it did not finish, in words; "" if it did.
        """
