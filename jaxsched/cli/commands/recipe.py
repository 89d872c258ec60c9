"""`jaxsched recipe`: finds a 1cycle config and writes it."""

from dataclasses import dataclass
from pathlib import Path

from jaxsched.cli.option_types import AtOnce
from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Recipe:
    """Finds a 1cycle recipe and writes it as a config that trains.

    Runs a range test of the learning rate, then short runs at several weight decays and momenta,
    and at last whole runs of the recipe and of the config as it was given, of which it writes the
    better one. The config also holds the reasons, the tables and the paths of the plots. After an
    interrupt the same command goes on.

    Any field of the experiment can be set after the config file;
    `jaxsched recipe CONFIG --help` lists them.
    """

    output: UserPath = Path("one_cycle.py")
    """The config to write."""
    overwrite: bool = False
    """Write it where a file is already, which is not deleted: it is moved to a folder named after
    the time, in `set-aside` beside it."""
    workdir: UserPath = Path("runs/recipe")
    """Curves, records, tables and plots are written to a folder of the experiment's name in
    here."""
    weight_decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 0.0)
    """Weight decays to try; without any, the experiment's own is kept."""
    momenta: tuple[float, ...] = (0.9, 0.95, 0.99)
    """The momenta to try at the start and end of the cycle, in whose middle it falls to 0.85."""
    epochs: float | None = None
    """How many epochs a short run trains; by default a fifth of the experiment's, at least one."""
    refine: int = 1
    """How many times to add the weight decays halfway between the best one and its neighbours."""
    compare: bool = True
    """Train the recipe and the experiment as it was given in full, over the same seeds, and write
    the better one."""
    updates: int = 200
    """The number of updates of a run of the range test."""
    validate_every: int | None = None
    """Let the range test evaluate held-out examples every so many updates, and read their loss."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """The seeds of the range test and of the short runs."""
    at_once: AtOnce = "auto"
