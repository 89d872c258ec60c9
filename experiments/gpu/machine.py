"""Says as JSON what JAX and PyTorch find on this machine; quarter_hour.py runs it as a process.

A process of its own, since JAX takes most of a GPU's memory for as long as its process lives.
"""

import importlib
import json
from typing import Any

import jax


def studies_need() -> str | None:
    """What keeps `jaxsched bench` from running here; None if nothing does."""
    try:
        importlib.import_module("jaxsched.cli.runs.bench")
    except ImportError as error:
        return str(error)
    return None


def torch_facts() -> dict[str, Any]:
    """PyTorch's version and whether it can use a GPU; {} where it is not installed."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return {}
    return {"torch": torch.__version__, "torch_has_gpu": torch.cuda.is_available()}


if __name__ == "__main__":
    device = jax.devices()[0]
    facts = {
        "jax": jax.__version__,
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "studies_need": studies_need(),
        **torch_facts(),
    }
    print(json.dumps(facts))
