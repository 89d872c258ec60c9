"""Checks that updates fit into the devices' memory, and advises what to do where they do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Plan
from jaxsched.train.distributed.driver import Driver


def check_memory(
    driver: Driver, compiled: Any, experiment: Experiment, plan: Plan, batch_size: int
) -> None:
    """Refuses compiled updates that need more memory than a device has.

    Args:
        driver: the devices.
        compiled: the updates, as `Driver.compile` returned them.
        experiment: the experiment that runs.
        plan: the run's plan.
        batch_size: the batch size of the updates.

    Raises:
        MemoryError: with the phase, the batch size and the setting to change.
    """
    needed, available = driver.memory_of(compiled), driver.memory()
    if needed > available:
        cause = f"they need {needed / 1e9:.2f} GB a device, which has {available / 1e9:.2f}"
        raise out_of_memory_error(
            experiment, plan, batch_size, len(driver.devices), cause, share=0.9 * available / needed
        )


@contextmanager
def explain_out_of_memory(
    experiment: Experiment, plan: Plan, batch_size: int, num_devices: int
) -> Iterator[None]:
    """Context manager: turns XLA's out-of-memory error into a MemoryError with advice.

    Args:
        experiment: the experiment that runs.
        plan: the run's plan.
        batch_size: the batch size of the updates.
        num_devices: the number of devices that a batch is split over.

    Raises:
        MemoryError: with the phase, the batch size and the setting to change.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        # XLA has no error class of its own for this: only the text tells it from other errors.
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
    """Makes the error for updates that do not fit, with the settings that would help.

    Args:
        experiment: the experiment that runs.
        plan: the run's plan.
        batch_size: the batch size of the updates.
        num_devices: the number of devices that a batch is split over.
        cause: what happened, in words.
        share: the share of its present examples that a device probably has memory for.
    """
    phases = [n for n, s in enumerate(plan.segments, start=1) if s.batch_size == batch_size]
    where = f"phase {phases[0]}" if phases else "a size that the batch may grow to"
    most, group = experiment.max_device_batch, experiment.task.batch_group
    at_a_time = min(batch_size // num_devices, most or batch_size)
    unit = group or 1
    advice = f"max_device_batch={max(int(at_a_time * share) // unit, 1) * unit} takes fewer at once"
    if group is None:
        # Batch norm over the whole batch cannot be computed in micro-batches.
        advice += ", with norm=BatchNorm(ghost=…) or a GroupNorm in the network"
    return MemoryError(
        f"out of memory: {where}, batch_size={batch_size}, {at_a_time} examples a device at a time "
        f"(max_device_batch={most}): {cause}. {advice}; or use more devices, a smaller batch or "
        "precision='bfloat16'."
    )
