"""`jaxsched grid`: hyper-parameters tried in short runs."""

from dataclasses import dataclass
from pathlib import Path

from jaxsched.cli.option_types import AtOnce
from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Grid:
    """Tries values of weight decay, momentum and others in short runs, alone or crossed.

    The values are ranked by the loss on held-out training images. Writes a table, a plot and JSON.
    After an interrupt the same command goes on.

    Any field of the experiment can be set after the config file;
    `jaxsched grid CONFIG --help` lists them.
    """

    workdir: UserPath = Path("runs/grid")
    """Records, table and plot are written to a folder of the experiment's name in here."""
    weight_decay: tuple[float, ...] = ()
    """Weight decays to try; the values of several options are crossed."""
    momentum: tuple[float, ...] = ()
    """Constant momenta to try, in place of the experiment's schedule."""
    lr: tuple[float, ...] = ()
    """Learning rates to try: each is the highest value of the experiment's schedule."""
    dropout: tuple[float, ...] = ()
    """Dropout rates to try, for a network that has dropout."""
    batch_size: tuple[int, ...] = ()
    """Batch sizes to try, compared at equal epochs, and once more with as many epochs each as take
    equal training time, so that each has its whole schedule."""
    epochs: float = 2.0
    """How many epochs each run trains; times of its schedules in per cent stretch with it."""
    seeds: tuple[int, ...] = (0,)
    """One run for each seed; the experiment's own seed is not used."""
    refine: int = 0
    """How many times to add the values halfway between the best one and its neighbours."""
    from_snapshot: float | None = None
    """Train the middle values for this many epochs first, and start each value's run from there."""
    at_once: AtOnce = "auto"

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """The values of the options that were given, by name."""
        names = ("weight_decay", "momentum", "lr", "dropout", "batch_size")
        given = {name: getattr(self, name) for name in names}
        return {name: values for name, values in given.items() if values}
