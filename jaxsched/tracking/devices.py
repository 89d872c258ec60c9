"""The environment of a measurement: code, packages, machine and JAX's devices."""

import resource
import sys
from importlib import metadata
from typing import Any

import jax

from jaxsched.tracking.machine import machine
from jaxsched.train import Program

_PACKAGES = ("jaxsched", "jax", "jaxlib", "flax", "optax", "numpy")


def environment(num_devices: int | None = None) -> dict[str, Any]:
    """Returns the versions and the hardware that this process uses, as JSON.

    Args:
        num_devices: the number of devices in use; all local devices by default.

    Example:
        >>> from jaxsched.tracking import environment
        >>> sorted(environment())
        ['commit', 'cores', 'device', 'num_devices', 'packages', 'platform', 'processor', 'python',
        'source_commit']
    """
    devices = jax.local_devices()
    return {
        **machine({name: metadata.version(name) for name in _PACKAGES}),
        "device": devices[0].device_kind,
        "num_devices": num_devices or len(devices),
    }


def peak_memory(program: Program) -> dict[str, int]:
    """Returns the peak memory in bytes, of this process and, unless it is a CPU, of a device."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"process": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if (device := program.driver.peak_memory()) is not None:
        peaks["device"] = device
    return peaks
