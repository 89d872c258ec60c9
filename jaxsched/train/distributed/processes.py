"""Starts JAX on several processes or virtual CPU devices."""

import os

import jax

# Each device has a copy of the data.
_MAX_CPU_DEVICES = 16


def split_cpu() -> None:
    """Makes two virtual devices of each core, so that `make_driver` can split batches over them.

    To be called before anything else uses a device. It keeps what the user has chosen by
    JAX_NUM_CPU_DEVICES or XLA_FLAGS, and does not change GPUs and TPUs.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] != -1
    if not chosen and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # Only Linux tells how many of its cores a process may use.
        has_affinity = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", min(2 * cores, _MAX_CPU_DEVICES))


def connect(
    coordinator: str | None = None, processes: int | None = None, process_id: int | None = None
) -> None:
    """Makes this process one of several that train together, each with its own devices.

    To be called before anything else uses a device. Arguments that are None are found in the
    environment of SLURM, Kubernetes, Open MPI, or a TPU pod.

    Args:
        coordinator: host and port of the first process, "10.0.0.1:1234".
        processes: the number of processes.
        process_id: the index of this process, from 0.

    Raises:
        ValueError: when something is not given and the environment does not tell it either.
    """
    try:
        jax.distributed.initialize(coordinator, processes, process_id)
    except ValueError as error:
        raise ValueError(
            f"cannot find out which processes train together ({error}); give --coordinator "
            "HOST:PORT, --processes and --process-id, or start the command by srun, on a TPU pod "
            "or as an indexed job of Kubernetes."
        ) from error


def is_main() -> bool:
    """Returns whether this is the one process that prints, records and saves."""
    return jax.process_index() == 0
