"""The setting with which a program fits that does not, found by compiling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxsched.ahead_of_time.programs import DescribedPrograms, DoesNotFitError
from jaxsched.train.program.max_batch_size import (
    EXAMPLES_PER_DEVICE,
    FREE_SHARE,
    largest_within,
)


@dataclass(frozen=True)
class Remedy:
    """A setting that makes updates fit.

    Attributes:
        setting: the field of the experiment, or of its phase.
        value: its largest value that fits with a tenth of the memory to spare; None where none
            does.
    """

    setting: Literal["max_device_batch", "batch_size"]
    value: int | None

    def __str__(self) -> str:
        if self.value is None:
            return (
                "Not even the smallest part of a batch fits; use a smaller network, smaller images "
                "or precision='bfloat16'."
            )
        return f"{self.setting}={self.value} fits, with a tenth of the memory to spare."


def remedy(programs: DescribedPrograms, batch_size: int, say: Callable[[str], None]) -> Remedy:
    """Returns what makes updates of a batch size fit.

    Micro-batches do where batch norm allows them, else only a smaller batch does. A handful of
    programs are compiled, and nothing is run.

    Args:
        programs: the experiment's programs, of which this one does not fit.
        batch_size: the size of the batch that does not fit.
        say: is called with a sentence before each compilation.
    """
    room = (1 - FREE_SHARE) * programs.memory
    group, chips = programs.experiment.task.batch_group, programs.num_chips

    def memory_of(others: DescribedPrograms, size: int) -> float:
        try:
            return others.updates(size).memory.total
        except DoesNotFitError as error:
            return max(error.needed, programs.memory + 1)

    def memory_at(size: int) -> float:
        say(f"compiling batch size {size:,}, to see whether it fits")
        return memory_of(programs, size)

    if group is None:
        unit = EXAMPLES_PER_DEVICE * chips
        most = (batch_size - 1) // unit * unit
        found = largest_within(memory_at, unit, most, room) if most else None
        return Remedy("batch_size", found)
    part = batch_size // chips
    now = part // programs.micro_batches(batch_size)
    parts = [part // n for n in range(part // group, 0, -1) if part % (n * group) == 0]
    fits, too_large = None, [size for size in parts if size < now]
    while too_large:
        middle = len(too_large) // 2
        size = too_large[middle]
        say(f"compiling max_device_batch={size:,}, to see whether it fits")
        if memory_of(programs.with_max_device_batch(size), batch_size) <= room:
            fits, too_large = size, too_large[middle + 1 :]
        else:
            too_large = too_large[:middle]
    return Remedy("max_device_batch", fits)
