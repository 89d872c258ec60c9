"""Prints as JSON what this machine has; quarter_hour.py runs it as a process.

A process of its own, since JAX takes most of a GPU's memory for as long as its process lives.
"""

import importlib
import json
import subprocess
import sys

import jax

TORCH = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu')"


def studies_need() -> str | None:
    """Returns what keeps `jaxsched bench` from running here; None if nothing does."""
    try:
        importlib.import_module("jaxsched.cli.runs.bench")
    except ImportError as error:
        return str(error)
    return None


def torch_device() -> str | None:
    """Returns the device that PyTorch uses; None where it is not installed or does not start."""
    found = subprocess.run(
        [sys.executable, "-c", TORCH], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None


if __name__ == "__main__":
    torch, device = torch_device(), jax.devices()[0]
    facts = {
        "jax": jax.__version__,
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "torch_device": torch,
        "studies_need": studies_need(),
    }
    print(json.dumps(facts))
