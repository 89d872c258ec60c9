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
    weight_decay: tuple[float, ...] = ()
    """Make a range test at each of these weight decays, draw them over each other, and take the
    largest one whose curve still allows a large learning rate."""
    dropout: tuple[float, ...] = ()
    """The same for dropout rates, for a network that has dropout."""
    validate_every: int | None = None
    """Evaluate held-out examples every so many updates, too, and let the rules read that loss."""
    judged_by: Literal["training", "validation"] | None = None
    """The loss that the rules read; by default the validation loss where it is measured."""
    at_once: AtOnce = "auto"

    def __post_init__(self):
        if self.weight_decay and self.dropout:
            raise ValueError(
                "range-test compares values of --weight-decay or of --dropout, got both; run it "
                "once for each."
            )
        if self.momentum and (self.weight_decay or self.dropout):
            raise ValueError(
                "a range test of the momentum suggests no value, so that --weight-decay and "
                "--dropout cannot be compared by it; leave --momentum out."
            )
        for name in ("weight_decay", "dropout"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"range-test needs different values of {name}, got {values}.")

    @property
    def compared(self) -> tuple[str, tuple[float, ...]]:
        """The values to compare by range tests of the learning rate, and their name; or none."""
        return ("dropout", self.dropout) if self.dropout else ("weight_decay", self.weight_decay)
