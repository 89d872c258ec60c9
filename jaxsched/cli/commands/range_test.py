"""`jaxsched range-test`: which learning rates the losses suggest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxsched.cli.option_types import AtOnce
from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class RangeTest:
    """Raises the learning rate update by update and reports the learning rates to use.

    Several named rules are applied to the losses of several seeds. Writes a table, a plot and JSON.
    After an interrupt the same command goes on.

    Any field of the experiment can be set after the config file;
    `jaxsched range-test CONFIG --help` lists them.
    """

    workdir: UserPath = Path("runs/range-test")
    """Curves, table and plot are written to a folder of the experiment's name in here."""
    momentum: bool = False
    """Raise the momentum instead, by default from 0.7 to 1 on a linear axis."""
    low: float | None = None
    """The first value; by default 1e-4."""
    high: float | None = None
    """The last value; by default 10. A run that diverges ends before it."""
    updates: int = 200
    """The number of updates of a run."""
    axis: Literal["log", "linear"] | None = None
    """How the values are spaced; by default "log"."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run for each seed; the experiment's own seed is not used."""
    validate_every: int | None = None
    """Evaluate held-out examples every so many updates, too, and let the rules read that loss."""
    judged_by: Literal["training", "validation"] | None = None
    """The loss that the rules read; by default the validation loss where it is measured."""
    at_once: AtOnce = "auto"
