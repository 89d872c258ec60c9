"""`jaxsched train`: trains one experiment, from its start or from a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxsched.cli.option_types import LogNames, require_minutes
from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Train:
    """Trains one experiment and writes its record.

    Any field of the experiment can be set after the config file:
    `jaxsched train configs/digits_one_cycle.py --optimizer.lr.peak 0.3 --seed 1`;
    `jaxsched train configs/digits_one_cycle.py --help` lists them.

    SIGTERM and Ctrl-C save the run and end it with exit status 143 or 130; with --resume the same
    command goes on as if nothing had happened. The exit status is 0 for a run that came to its end,
    1 for one that failed on the way, 2 for bad input and 3 for a run that diverged.
    """

    workdir: UserPath = Path("runs/train")
    """The folder to write to: the record, and a folder of the same name with the checkpoints and
    the run's curves, which are kept up to date: curves.png and evaluations.csv."""
    resume: bool = False
    """Go on with this same run from its last checkpoint."""
    overwrite: bool = False
    """Make a run again that is there already. Its record and checkpoints are not deleted: they are
    moved to a folder named after the time, in `set-aside` in the workdir."""
    start_from: UserPath | None = None
    """Start from this checkpoint of another experiment's run, such as its `before_last_decay` for a
    longer run. The two may differ in everything but the shapes of what is trained."""
    checkpoint_minutes: float = 10.0
    """The run is saved at least this often."""
    batch_size: Literal["max"] | None = None
    """Train at the largest batch size that fits in the devices' memory, with a tenth of it to
    spare, instead of at the experiment's; the learning rate is not changed."""
    read_workers: int = 0
    """The number of processes that read and decode streamed data; by default this process does it,
    in threads."""
    profile: tuple[int, int] | None = None
    """Trace the updates from the first number up to the second, for XProf and ui.perfetto.dev; the
    trace is written to a folder beside the record."""
    log: LogNames = ()
    """Log the run live as well: `--log tensorboard` writes event files to the run's folder, for
    `tensorboard --logdir WORKDIR`; `--log wandb` sends it to Weights & Biases, or with
    WANDB_MODE=offline writes it there. Both may be given."""
    quiet: bool = False
    """Print nothing but errors."""
    distributed: bool = False
    """Train one run over several processes, each started with this same command; SLURM, Kubernetes
    or the TPU pod tells each process about the others. On Kubernetes that is an indexed Job behind
    a headless Service, an image with jax[k8s], and a service account that may get and list pods
    and jobs."""
    coordinator: str | None = None
    """HOST:PORT of the first process, to connect the processes by hand instead of --distributed."""
    processes: int | None = None
    """The number of processes; for use with --coordinator."""
    process_id: int | None = None
    """The number of this process, from 0, for use with --coordinator; process 0 writes the record
    and the checkpoints."""

    def __post_init__(self):
        require_minutes(self.checkpoint_minutes)
        if self.resume and self.overwrite:
            raise ValueError(
                "--resume goes on with a run and --overwrite starts it again; give one of them."
            )
        if self.read_workers < 0:
            raise ValueError(
                f"--read-workers needs a number of at least 0, got {self.read_workers}; 0 reads in "
                "this process."
            )
        if self.coordinator is None and (self.processes, self.process_id) != (None, None):
            raise ValueError(
                "--processes and --process-id need --coordinator HOST:PORT, the same for all "
                "processes; with --distributed leave them out."
            )
