"""Whether updates have room in the devices' memory, and what to do where they have not."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Plan


@contextmanager
def explain_out_of_memory(
    experiment: Experiment, plan: Plan, batch_size: int, num_devices: int
) -> Iterator[None]:
    """Turns an error of XLA's that says that memory has run out into one that says what to do.

    Args:
        experiment: that runs.
        plan: of the run.
        batch_size: of the updates.
        num_devices: that they are split over.

    Raises:
        MemoryError: with the phase, the batch size and the setting.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        cause = str(error).splitlines()[0]
        raise out_of_memory_error(experiment, plan, batch_size, num_devices, cause) from error


def out_of_memory_error(
    experiment: Experiment,
    plan: Plan,
    batch_size: int,
    num_devices: int,
    cause: str,
    share: float = 0.5,
) -> MemoryError:
    """The error of updates that have no room.

    Args:
        experiment: that runs.
        plan: of the run.
        batch_size: of the updates.
        num_devices: that they are split over.
        cause: in words.
        share: of its examples that a device may have room for.
    """
    phases = [n for n, s in enumerate(plan.segments, start=1) if s.batch_size == batch_size]
    where = f"phase {phases[0]}" if phases else "a size that the batch may grow to"
    most, group = experiment.max_device_batch, experiment.model.batch_group
    at_a_time = min(batch_size // num_devices, most or batch_size)
    unit = group or 1
    advice = f"max_device_batch={max(int(at_a_time * share) // unit, 1) * unit} takes fewer at once"
    if group is None:
        advice += ", with norm=BatchNorm(ghost=…) or a GroupNorm in the network"
    return MemoryError(
        f"out of memory: {where}, batch_size={batch_size}, {at_a_time} examples a device at a time "
        f"(max_device_batch={most}): {cause}. {advice}; or use more devices, a smaller batch or "
        "precision='bfloat16'."
    )
