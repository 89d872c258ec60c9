"""`jaxsched diagnose`: does the weight norm bounce?"""

from dataclasses import dataclass
from pathlib import Path

from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Diagnose:
    """Reports whether the weight norm bounces, and so whether a complex schedule is worth it.

    The run holds the experiment's highest learning rate and ends as soon as the answer is known.

    Any field of the experiment can be set after the config file;
    `jaxsched diagnose CONFIG --help` lists them.
    """

    workdir: UserPath = Path("runs/diagnose")
    """The folder of the record and the plot."""
    epochs: float | None = None
    """The most epochs to train; by default as many as the experiment trains."""
