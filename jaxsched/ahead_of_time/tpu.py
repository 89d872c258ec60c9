"""TPUs that are only described: libtpu compiles for them on any machine."""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import topologies

from jaxsched.ahead_of_time.chips import Tpu
from jaxsched.extras import require_extra

_SECONDS = 2.0  # between two tries
# Without these libtpu looks for a TPU of Google's cloud, and complains that there is none.
_NO_TPU_HERE = {
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def tpu_devices(chip: Tpu, size: str, say: Callable[[str], None]) -> tuple[Any, ...]:
    """Returns the devices of a TPU slice.

    libtpu serves one process of a machine at a time, so this waits until no other one uses it, and
    keeps it until this process ends.

    Args:
        chip: the generation.
        size: the sides of the torus, such as `16x16`.
        say: is called with a sentence when this has to wait.

    Raises:
        ValueError: when there is no such slice.
        ImportError: when libtpu is not installed.
    """
    require_extra("Compiling for a TPU", "tpu-compile", "libtpu")
    for name, value in _NO_TPU_HERE.items():
        os.environ.setdefault(name, value)
    waits = False
    while True:
        try:
            return tuple(
                topologies.get_topology_desc(
                    platform="tpu", topology_name=f"{chip.name}:{size}", **_options(chip, size)
                ).devices
            )
        except jax.errors.JaxRuntimeError as error:
            if "lockfile" not in str(error):
                raise ValueError(
                    f"expected a slice that {chip.name} has, got {size} ({error}); sides are 1, 2 "
                    "or 4 on one host and multiples of 4 beyond it."
                ) from error
        if not waits:
            say(
                "another process uses libtpu, which serves one at a time on a machine; this one "
                "waits for it to end"
            )
            waits = True
        time.sleep(_SECONDS)


def _options(chip: Tpu, size: str) -> dict[str, Any]:
    options: dict[str, Any] = {"chip_config_name": "megacore"} if chip.has_two_cores else {}
    sides = tuple(map(int, size.split("x")))
    if max(sides) <= 2:  # part of a host, which libtpu takes to have 2 × 2 chips
        options["chips_per_host_bounds"] = (*sides, 1)[:3]
    return options
