"""Machines by name: `v5e:16x16`, `h100:8`, or `cpu`, the one that compiles."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxsched.ahead_of_time.chips import GPUS, TPUS, Chip
from jaxsched.ahead_of_time.gpu import gpu_devices
from jaxsched.ahead_of_time.tpu import tpu_devices
from jaxsched.text import join_names

CPU = "cpu"
_EXAMPLES = (
    "v4:2x2x1", "v5e:2x2", "v5e:16x16", "v5p:2x2x1", "v6e:2x2", "a100:8", "h100:8", "h200:8", CPU,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Topology:
    """A described machine.

    Attributes:
        name: its name.
        platform: "cpu", "gpu" or "tpu", as JAX names it.
        chip: its chips; None for this machine's CPU.
        devices: all its devices; None for this machine's CPU, of which a run takes as many virtual
            ones as make it fast.
    """

    name: str
    platform: str
    chip: Chip | None = None
    devices: tuple[Any, ...] | None = None


def describe_machine(name: str, say: Callable[[str], None] = print) -> Topology:
    """Returns the machine of a name.

    Args:
        name: `cpu`; a TPU's generation and the sides of the torus, such as `v5e:2x2`; or a GPU and
            how many, up to 8 or a multiple of 8, which is hosts of 8.
        say: is called with a sentence when another process has to be waited for.

    Raises:
        ValueError: for a name that means no machine.
        ImportError: when the compiler for it is not installed.

    Example:
        >>> from jaxsched.ahead_of_time.topology import describe_machine
        >>> describe_machine("cpu").platform
        'cpu'
    """
    chip, _, size = name.partition(":")
    if name == CPU:
        return Topology(CPU, CPU)
    if chip in TPUS and _is_torus(size, TPUS[chip].dimensions):
        return Topology(name, "tpu", TPUS[chip], tpu_devices(TPUS[chip], size, say))
    if chip in GPUS and re.fullmatch(r"[1-9]\d*", size) and (int(size) <= 8 or not int(size) % 8):
        return Topology(name, "gpu", GPUS[chip], gpu_devices(GPUS[chip], int(size)))
    raise ValueError(
        f"expected a topology, such as {join_names(_EXAMPLES)}, got {name!r}; a TPU has the sides "
        "of its torus behind the colon (two for v5e and v6e, three for v4 and v5p), and a GPU a "
        "number up to 8, or a multiple of 8."
    )


def _is_torus(size: str, dimensions: int) -> bool:
    return re.fullmatch(rf"[1-9]\d*(x[1-9]\d*){{{dimensions - 1}}}", size) is not None
