"""Makes the driver of an experiment, and chooses the number of devices."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax

from jaxsched.train.distributed.driver import Driver
from jaxsched.train.distributed.jit import JitDriver
from jaxsched.train.distributed.pmap import PmapDriver

_DRIVERS = {"jit": JitDriver, "pmap": PmapDriver}

# A CPU's cores make better use of parts of a batch than of the whole, but a part of fewer pixels
# than 32 images of CIFAR costs more to add up than it gains
# (experiments/performance/throughput/throughput.py).
_MIN_PIXELS_PER_CPU_DEVICE = 32 * 32 * 32


def make_driver(
    name: Literal["jit", "pmap"],
    num_devices: int | None = None,
    *,
    batch_sizes: Sequence[int] = (),
    places: int = 1,
    fits: Callable[[int], bool] = lambda num_devices: True,
    device: Any = None,
) -> Driver:
    """Makes the driver of this name over the first `num_devices` devices of each process.

    The default is all devices of an accelerator, and as many virtual devices of a CPU as make an
    update faster.

    Args:
        name: the driver's name.
        num_devices: the number of devices of each process; None for the default.
        batch_sizes: the batch sizes that will be split over the devices.
        places: the number of pixels of an image, or of tokens of a text: of places in an example
            that the network works on.
        fits: returns whether so many devices, of all processes together, can split the batches.
        device: the device to use instead of the first, for a run that takes one.

    Raises:
        ValueError: when there are fewer devices.
    """
    available, processes = jax.local_device_count(), jax.process_count()
    if num_devices is None and jax.default_backend() == "cpu":
        rows = [size // processes for size in batch_sizes]
        worthwhile = min(rows, default=1) * places // _MIN_PIXELS_PER_CPU_DEVICE
        counts = range(1, min(available, worthwhile) + 1)
        divisors = (n for n in counts if all(part % n == 0 for part in rows))
        num_devices = max((n for n in divisors if fits(n * processes)), default=1)
    if num_devices is not None and not 1 <= num_devices <= available:
        raise ValueError(
            f"num_devices must be within 1 … {available}, the local devices, got "
            f"num_devices={num_devices}."
        )
    if device is not None:
        return _DRIVERS[name]([device])
    devices = [d for i in range(processes) for d in jax.local_devices(i)[:num_devices]]
    return _DRIVERS[name](devices)


def check_divisible(batch_sizes: Sequence[int], num_devices: int, group: int | None = None) -> None:
    """Refuses batches that are not equal parts for all devices, or not whole groups.

    Args:
        batch_sizes: the batch sizes of a run.
        num_devices: the number of devices that a batch is split over.
        group: how many successive examples a network normalises together; None for the whole batch.

    Raises:
        ValueError: with sizes that would do.
    """
    for size in batch_sizes:
        for unit, condition in (
            (num_devices, f"divide by the number of devices, got batch_size={size}, devices="),
            (group or 1, f"hold whole groups of a ghost batch norm, got batch_size={size}, ghost="),
        ):
            if size % unit:
                below = size - size % unit
                raise ValueError(
                    f"batch_size must {condition}{unit}; use {f'{below} or ' if below else ''}"
                    f"{below + unit}."
                )
