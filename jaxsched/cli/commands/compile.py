"""`jaxsched compile`: memory, time and exchanges of a machine that is not there."""

from dataclasses import dataclass
from pathlib import Path

from jaxsched.cli.paths import UserPath


@dataclass(frozen=True)
class Compile:
    """Compiles an experiment for a described machine: will it fit, and how long must it take?

    Neither the machine nor the data are needed: the compiler for TPUs or GPUs runs on any CPU, and
    takes minutes for a large network. For the updates of every batch size, for the evaluation and
    for the batch-norm statistics of an average it prints the memory of each chip, the arithmetic
    and the memory traffic with the least time that they need, what the chips exchange, and what
    makes the program slow. Nothing is run, so that nothing is measured.

    Any field of the experiment can be set after the config file, such as `--driver pmap`;
    `jaxsched compile CONFIG --help` lists them.
    """

    topology: str = "cpu"
    """The machine: a TPU and the sides of its torus, such as v5e:2x2, v5e:16x16 or v4:2x2x1, which
    needs the extra [tpu-compile]; a GPU and how many, such as h100:8, which needs [gpu-compile]; or
    cpu, this machine's."""
    num_examples: int | None = None
    """The number of training examples, where the data are not on this machine and the config does
    not tell it."""
    workdir: UserPath = Path("runs/train")
    """The figures are written as JSON to the folder of the experiment's run in here, where
    `jaxsched train` writes that run."""
    output: UserPath | None = None
    """Write them to this file instead."""
    overwrite: bool = False
    """Write them where a file is already, which is not deleted: it is moved to a folder named after
    the time, in `set-aside` beside it."""

    def __post_init__(self):
        if self.num_examples is not None and self.num_examples < 1:
            raise ValueError(
                f"--num-examples needs a number of at least 1, got {self.num_examples}."
            )
