"""Starts JAX on several processes or virtual CPU devices."""

import os
import sys

import jax

from jaxsched.models.layers.compiler_options import EIGEN_CONVOLVES
from jaxsched.train.distributed.meeting import Address, Meeting

# Each device has a copy of the data.
_MAX_CPU_DEVICES = 16
# A convolution of YNN's in jax 0.10 uses one thread. Eigen's use all, and then more devices than
# cores only disturb each other.
_DEVICES_PER_CORE = 1 if EIGEN_CONVOLVES else 2
# How long processes wait for each other.
_WAIT_SECONDS = 300
# After how long a process that was killed, or whose machine has gone, ends the others.
SILENT_SECONDS = 30
# JAX aborts a process between half of this time and all of it after another was killed. Our own
# signs of life come first, because they let it end with words.
_JAX_SECONDS = 80


def split_cpu() -> None:
    """Makes virtual devices of the cores, so that `make_driver` can split batches over them.

    Each core becomes two before jax 0.11, and one since. To be called before anything else uses a
    device. It keeps what the user has chosen by JAX_NUM_CPU_DEVICES or XLA_FLAGS, and does not
    change GPUs and TPUs.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] != -1
    if not chosen and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # Only Linux tells how many of its cores a process may use.
        has_affinity = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", min(_DEVICES_PER_CORE * cores, _MAX_CPU_DEVICES))


def connect(
    coordinator: str | None = None, processes: int | None = None, process_id: int | None = None
) -> None:
    """Makes this process one of several that train together, each with its own devices.

    To be called before anything else uses a device. Arguments that are None are found in the
    environment of SLURM, Kubernetes, Open MPI, or a TPU pod. What is waited for is said on stderr;
    after five minutes without it the process ends. Within `EndTogether`, as in the command, 30 s
    without a sign of life of one process end the others; JAX itself aborts them 40 to 80 s after
    one was killed, and at once when that was process 0.

    Args:
        coordinator: host and port of the first process, "10.0.0.1:1234".
        processes: the number of processes.
        process_id: the index of this process, from 0.

    Raises:
        ValueError: when something is not given and the environment does not tell it either, when
            the coordinator is no address, its host is unknown or its port in use, or when the
            processes' numbers do not fit together.
        TimeoutError: when other processes are missing.
    """
    address = None if coordinator is None else Address.parse(coordinator)
    if address is not None and processes is not None and process_id is not None:
        _check_numbers(processes, process_id)
        Meeting(address, processes, process_id, say=_say, seconds=_WAIT_SECONDS).wait()
    else:
        _say(f"this process waits for the others, {_WAIT_SECONDS} s at most")
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            initialization_timeout=_WAIT_SECONDS,
            heartbeat_timeout_seconds=_JAX_SECONDS,
        )
    except ValueError as error:
        raise ValueError(
            f"cannot find out which processes train together ({error}); give --coordinator "
            "HOST:PORT, --processes and --process-id, or start the command by srun, on a TPU pod "
            "or as an indexed job of Kubernetes."
        ) from error


def _check_numbers(processes: int, process_id: int) -> None:
    if processes < 1:
        raise ValueError(f"expected at least one process, got --processes {processes}.")
    if not 0 <= process_id < processes:
        raise ValueError(
            f"expected a --process-id within 0 … {processes - 1} for --processes {processes}, got "
            f"{process_id}; count from 0."
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def is_main() -> bool:
    """Returns whether this is the one process that prints, records and saves."""
    return jax.process_index() == 0
