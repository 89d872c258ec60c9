"""`jaxsched plot`: schedules before anything is trained."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Plot:
    """Plots learning rate, momentum, weight decay, batch size and noise scale of experiments.

    The plot covers the whole run before anything is trained. It is printed as text and written as
    an image.
    """

    configs: tyro.conf.Positional[tuple[UserPath, ...]]
    """Python files that each hold an Experiment under the name `experiment`."""
    output: UserPath = Path("schedules.png")
    """The image file to write."""
