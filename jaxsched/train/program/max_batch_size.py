"""The largest batch size that the devices' memory has room for."""

import math

from jaxsched.train.program.program import Program

# Kept free: other programs of the run, fragmentation, and what the compiler cannot foresee.
_MARGIN = 0.1
# Batch sizes are tried in multiples of so many examples a device, which suits matrix units.
_ROWS = 8
# Each costs a compilation.
_MOST_SIZES = 6


def largest_batch_size(program: Program, memory: int | None = None) -> int:
    """The largest batch size whose update fits, from what the compiler says of its memory.

    Nothing is run. Memory grows almost linearly with the batch, so that a few sizes tell where the
    limit lies; the size found has itself been compiled, and fits.

    Formula:
        memory(B) ≤ (1 − 0.1) · memory of a device,   B a multiple of 8 · devices, at most N

    Args:
        program: of the experiment, at any batch size.
        memory: bytes of each device; what it has by default.

    Raises:
        ValueError: when not even the smallest batch fits.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv
        1803.09820), section 4.2: a batch as large as the memory takes, and a larger learning rate.
    """
    memory = program.driver.memory() if memory is None else memory
    unit, room = _ROWS * len(program.driver.devices), (1 - _MARGIN) * memory
    most = program.plan.num_examples // unit * unit
    fits = (unit, program.update_memory(unit)) if most else (0, math.inf)
    if fits[1] > room:
        raise ValueError(
            f"--batch-size max needs room for {unit} examples at a time, of "
            f"{program.plan.num_examples} in the data and in {memory / 1e9:.2f} GB a device; use "
            "a smaller network or smaller images."
        )
    too_large, size = most + unit, min(8 * unit, most)
    for _ in range(_MOST_SIZES):
        if too_large - fits[0] <= unit:
            break
        size = min(max(size, fits[0] + unit), too_large - unit)
        tried = (size, program.update_memory(size))
        slope = max((tried[1] - fits[1]) / (tried[0] - fits[0]), 1.0)
        if tried[1] <= room:
            fits = tried
        else:
            too_large = size
        size = fits[0] + math.floor((room - fits[1]) / slope / unit) * unit
    return fits[0]
