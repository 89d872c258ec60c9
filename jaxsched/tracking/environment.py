"""What a measurement was made with: code, packages, machine."""

import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxsched.train import Program

_PACKAGES = ("jaxsched", "jax", "jaxlib", "flax", "optax", "numpy")


def environment(num_devices: int | None = None) -> dict[str, Any]:
    """Versions and hardware of this process, as JSON.

    Args:
        num_devices: how many devices are used; all local ones by default.

    Example:
        >>> from jaxsched.tracking import environment
        >>> sorted(environment())
        ['commit', 'cores', 'device', 'num_devices', 'packages', 'platform', 'processor', 'python']
    """
    devices = jax.local_devices()
    return {
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": devices[0].device_kind,
        "num_devices": num_devices or len(devices),
    }


def peak_memory(program: Program) -> dict[str, int]:
    """The most bytes in use at a time: of this whole process and, but for a CPU, of a device."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if (device := program.driver.peak_memory()) is not None:
        found["device"] = device
    return found


def _commit() -> str | None:
    """The commit of the checkout that this code runs from, marked where it has changes."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return None
    return result.stdout.strip() or None


def _processor() -> str:
    """The processor's own name, which Python knows on some systems only."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
