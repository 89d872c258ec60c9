"""`jaxsched plot`: schedules before anything is trained."""

from dataclasses import dataclass
from pathlib import Path

from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Plot:
    """Plots learning rate, momentum, weight decay, batch size and noise scale of experiments.

    The plot covers the whole run before anything is trained. It is printed as text and written as
    an image. Data are read only to count them, and only where nothing else tells their number.

    Several config files share a plot. Any field of the experiment can be set after them, for all of
    them alike; `jaxsched plot CONFIG --help` lists them.
    """

    workdir: UserPath = Path("runs/train")
    """The image of one experiment is written to the folder of its run in here, where `jaxsched
    train` writes that run; that of several into this folder itself."""
    output: UserPath | None = None
    """Write the image to this file instead."""
    overwrite: bool = False
    """Write it where a file is already, which is not deleted: it is moved to a folder named after
    the time, in `set-aside` beside it."""
    num_examples: int | None = None
    """The number of training examples to plan for, where the data are not on this machine."""

    def __post_init__(self):
        if self.num_examples is not None and self.num_examples < 1:
            raise ValueError(
                f"--num-examples needs a number of at least 1, got {self.num_examples}."
            )
