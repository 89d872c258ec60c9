"""Runs on a Ray cluster, which places them and tries them again after a lost worker."""

from collections.abc import Callable, Sequence
from typing import Any

import ray

from jaxsched.bench.study.engines.task import RunTask

_MOST_LOST_WORKERS = 5  # of one run


def run_on_ray(tasks: Sequence[RunTask], say: Callable[[str], None]) -> None:
    """Makes each task on a node of the Ray cluster, in a process of its own."""
    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(log_to_driver=False)
    try:
        # A process a task, so that a run has the devices' memory to itself.
        make = ray.remote(max_calls=1, max_retries=_MOST_LOST_WORKERS)(_make)
        left = [make.options(**_resources(task.num_devices)).remote(task) for task in tasks]
        while left:
            (ended, *_), left = ray.wait(left)
            say(f"{ray.get(ended)}: ended, {len(left)} runs left")
    finally:
        if is_ours:
            ray.shutdown()


def _make(task: RunTask) -> str:
    return task()


def _resources(num_devices: int) -> dict[str, Any]:
    """Asks for the cluster's accelerators, or for a core a device where there are none."""
    has = ray.cluster_resources()
    if has.get("TPU"):
        return {"resources": {"TPU": num_devices}}
    return {"num_gpus" if has.get("GPU") else "num_cpus": num_devices}
