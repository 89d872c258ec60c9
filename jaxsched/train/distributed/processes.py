"""Starts JAX on several processes or virtual CPU devices."""

import os

import jax

# Each has a copy of the data.
MAX_CPU_DEVICES = 16


def split_cpu() -> None:
    """Makes two virtual devices of each core, so that `make_driver` can split batches over them.

    To be called before anything else uses a device. It leaves alone what the user has chosen by
    JAX_NUM_CPU_DEVICES or XLA_FLAGS, and GPUs and TPUs.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] != -1
    if not chosen and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # Linux alone says how many of its cores a process may use.
        usable = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if usable else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", min(2 * cores, MAX_CPU_DEVICES))


def connect(
    coordinator: str | None = None, processes: int | None = None, process_id: int | None = None
) -> None:
    """Makes this process one of several that train together, each with its own devices.

    To be called before anything else uses a device. What is not given is found out from the
    environment: of SLURM, Kubernetes, Open MPI, or a TPU pod.

    Args:
        coordinator: host and port of the first process, "10.0.0.1:1234".
        processes: how many there are.
        process_id: which of them this one is, from 0.

    Raises:
        ValueError: when something is not given and the environment does not say it either.
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
    """Whether this is the one process that prints, records and saves."""
    return jax.process_index() == 0
