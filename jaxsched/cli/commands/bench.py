"""`jaxsched bench`: a study, its table and its plots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from jaxsched.cli.option_types import AtOnce, LogNames, require_minutes
from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Bench:
    """Runs every experiment of a study with every seed, and reports steps to the target.

    Runs that already have a finished record are not made again. SIGTERM and Ctrl-C save the current
    run and end the command with exit code 143 or 130; the same command then goes on as if nothing
    had happened.

    The same command may be started several times on one host: each process takes runs that no
    other process is making, until none is left. This queue, of file locks, is for the processes of
    one host; `--on` uses the queue of a cluster for those of several.

    A run that dies of an error, or that diverges, counts as a miss with its reason, and the other
    runs go on. If a run died of an error, the command ends with exit code 1, and the same command
    tries that run again.
    """

    study: tyro.conf.Positional[UserPath]
    """A Python file that holds a Study under the name `study`, or several under `sizes`."""
    size: str | None = None
    """The name of one of its sizes, such as cpu or full; by default the first."""
    shard: str = "1/1"
    """The part of the study's runs to make here, such as 3/16, while other machines make the other
    parts; `jaxsched report` puts their folders together."""
    checkpoint_minutes: float = 10.0
    """The current run is saved at least this often."""
    at_once: AtOnce = "auto"
    """How the runs share the devices: "in_turn", one after another; "devices", one on each device;
    a number, so many at a time, one on each device. More than one at a time needs experiments with
    num_devices = 1. "auto" makes one on each GPU or TPU, but one at a time on a CPU: its virtual
    devices share its cores, so that runs made together would take longer than each run alone.
    "vmap" is refused, because runs on one device have no seconds of their own."""
    on: Literal["ray", "slurm"] | None = None
    """Make each run as a task on the nodes of a cluster: "ray" on the one that RAY_ADDRESS names,
    else on this host; "slurm" as a job of an array, for which SBATCH_PARTITION, SBATCH_TIMELIMIT
    and the other variables of sbatch hold. A run gets as many GPUs or TPUs as its experiment's
    num_devices, else a whole node. All nodes must share the study's file and the working folder
    under the same paths. A run whose node is lost goes on elsewhere from its last checkpoint."""
    workdir: UserPath = Path("runs")
    """Records, table and plots are written to a folder of the study's name in here."""
    log: LogNames = ()
    """Log every run live as well, in the folder `logs` of the study: `--log tensorboard` for
    `tensorboard --logdir`, `--log wandb` for Weights & Biases. Both may be given."""
    open: bool = False
    """Open the page in the browser at the end."""

    def __post_init__(self):
        require_minutes(self.checkpoint_minutes)
        if self.on and (self.shard != "1/1" or self.at_once != "auto"):
            raise ValueError(
                "--on makes every run as a task of its own, got --shard or --at-once as well; "
                "leave them out."
            )
