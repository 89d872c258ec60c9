"""The largest batch size that fits into the devices' memory."""

import math
from collections.abc import Callable

from jaxsched.train.program.program import Program

# Kept free for the run's other programs, fragmentation, and what the compiler cannot foresee.
FREE_SHARE = 0.1
# Batch sizes are tried in multiples of so many examples a device, which suits matrix units.
EXAMPLES_PER_DEVICE = 8
# Trying a size costs a compilation.
_MAX_TRIES = 6


def largest_batch_size(program: Program, memory: int | None = None) -> int:
    """Finds the largest batch size whose update fits, by the memory that the compiler reports.

    Nothing is run. Memory grows almost linearly with the batch, so that a few sizes show where the
    limit lies; the size found has itself been compiled, and fits.

    Formula:
        memory(B) ≤ (1 − 0.1) · memory of a device,   B a multiple of 8 · devices, at most N

    Args:
        program: the experiment's program, at any batch size.
        memory: bytes of each device; by default what it has.

    Raises:
        ValueError: when not even the smallest batch fits.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv
        1803.09820), section 4.2: a batch as large as the memory takes, and a larger learning rate.
    """
    memory = program.driver.memory() if memory is None else memory
    unit, room = EXAMPLES_PER_DEVICE * len(program.driver.devices), (1 - FREE_SHARE) * memory
    most = program.plan.num_examples // unit * unit
    fits = largest_within(program.update_memory, unit, most, room) if most else None
    if fits is None:
        raise ValueError(
            f"--batch-size max needs room for {unit} examples at a time, of "
            f"{program.plan.num_examples} in the data and in {memory / 1e9:.2f} GB a device; use "
            "a smaller network or smaller images."
        )
    return fits


def largest_within(
    memory_of: Callable[[int], float], unit: int, most: int, room: float
) -> int | None:
    """Returns the largest size found to fit into some memory; None where not even a unit does.

    Args:
        memory_of: the bytes that a size takes, which grow almost linearly with it.
        unit: sizes are multiples of this.
        most: the largest size to try.
        room: the bytes that there are.

    Example:
        >>> from jaxsched.train.program.max_batch_size import largest_within
        >>> largest_within(lambda size: 100.0 + size, unit=8, most=4096, room=1000.0)
        896
    """
    # The largest size known to fit, and the bytes that it takes.
    fits, needed = unit, memory_of(unit)
    if needed > room:
        return None
    too_large, size = most + unit, min(8 * unit, most)
    for _ in range(_MAX_TRIES):
        if too_large - fits <= unit:
            break
        size = min(max(size, fits + unit), too_large - unit)
        size_needs = memory_of(size)
        # The line through both sizes tells the next size to try; a compiler that reports less
        # memory for a larger batch must not send it to infinity.
        slope = max((size_needs - needed) / (size - fits), 1.0)
        if size_needs <= room:
            fits, needed = size, size_needs
        else:
            too_large = size
        size = fits + math.floor((room - needed) / slope / unit) * unit
    return fits
