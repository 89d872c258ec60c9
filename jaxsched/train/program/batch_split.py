"""Splits batches over the devices, and on each device into micro-batches."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from jaxsched.data import Dataset
from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Plan
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.distributed.make_driver import check_divisible, make_driver
from jaxsched.train.step.micro_batches import num_micro_batches


def split_over_devices(
    experiment: Experiment, plan: Plan, dataset: Dataset, device: Any = None
) -> tuple[Driver, tuple[int, ...]]:
    """Returns the experiment's driver, and all batch sizes that a run may use, which it can split.

    Args:
        experiment: names the driver and may fix the number of devices.
        plan: the experiment's plan.
        dataset: the experiment's data set.
        device: the device to use instead of the first, for an experiment that takes one.

    Raises:
        ValueError: when there are fewer devices, or when a batch size cannot be divided over the
            devices, their micro-batches and the examples that are normalised together.
    """
    driver = make_driver(
        experiment.driver,
        experiment.num_devices,
        batch_sizes=plan.batch_sizes,
        places=math.prod(dataset.train.elements[0].shape[:2]),
        fits=partial(_can_split, experiment, plan.batch_sizes),
        device=device,
    )
    return driver, checked_batch_sizes(experiment, plan, driver.num_shards)


def checked_batch_sizes(experiment: Experiment, plan: Plan, num_devices: int) -> tuple[int, ...]:
    """Returns all batch sizes that a run may use.

    Raises:
        ValueError: when one cannot be divided over the devices, their micro-batches and the
            examples that are normalised together.
    """
    group = experiment.task.batch_group
    sizes = experiment.batch_sizes(plan, math.lcm(num_devices, group or 1))
    check_divisible(sizes, num_devices, group)
    for size in sizes:
        micro_batches_per_device(experiment, size, num_devices)
    return sizes


def micro_batches_per_device(experiment: Experiment, batch_size: int, num_devices: int) -> int:
    """Returns how many micro-batches each device cuts its part of a batch into.

    Raises:
        ValueError: when the part cannot be cut as the experiment needs it.
    """
    # The noise estimate needs at least two gradients. Replicas under `pmap` have one each; the
    # compiler of the `jit` driver reduces them before they can be seen.
    one_gradient = experiment.driver == "jit" or num_devices == 1
    return num_micro_batches(
        batch_size // num_devices,
        most=experiment.max_device_batch,
        group=experiment.task.batch_group,
        least=2 if one_gradient and experiment.optimizer.noise is not None else 1,
    )


def _can_split(experiment: Experiment, batch_sizes: Sequence[int], num_devices: int) -> bool:
    try:
        for size in batch_sizes:
            micro_batches_per_device(experiment, size, num_devices)
    except ValueError:
        return False
    return True
