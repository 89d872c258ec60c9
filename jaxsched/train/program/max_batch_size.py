"""The largest batch size that fits into the devices' memory."""

import math

from jaxsched.train.program.program import Program

# Kept free for the run's other programs, fragmentation, and what the compiler cannot foresee.
_FREE_SHARE = 0.1
# Batch sizes are tried in multiples of so many examples a device, which suits matrix units.
_EXAMPLES_PER_DEVICE = 8
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
    unit, room = _EXAMPLES_PER_DEVICE * len(program.driver.devices), (1 - _FREE_SHARE) * memory
    most = program.plan.num_examples // unit * unit
    # The largest size known to fit, and the bytes that it takes.
    fits, needed = (unit, program.update_memory(unit)) if most else (0, math.inf)
    if needed > room:
        raise ValueError(
            f"--batch-size max needs room for {unit} examples at a time, of "
            f"{program.plan.num_examples} in the data and in {memory / 1e9:.2f} GB a device; use "
            "a smaller network or smaller images."
        )
    too_large, size = most + unit, min(8 * unit, most)
    for _ in range(_MAX_TRIES):
        if too_large - fits <= unit:
            break
        size = min(max(size, fits + unit), too_large - unit)
        size_needs = program.update_memory(size)
        # The line through both sizes tells the next size to try; a compiler that reports less
        # memory for a larger batch must not send it to infinity.
        slope = max((size_needs - needed) / (size - fits), 1.0)
        if size_needs <= room:
            fits, needed = size, size_needs
        else:
            too_large = size
        size = fits + math.floor((room - needed) / slope / unit) * unit
    return fits
