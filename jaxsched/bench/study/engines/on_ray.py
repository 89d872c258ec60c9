"""Runs on a Ray cluster, which places them and tries them again after a lost worker or node."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from jaxsched.bench.study.engines.engine import LOOK_SECONDS, Ended
from jaxsched.bench.study.engines.task import RunTask
from jaxsched.extras import require_extra
from jaxsched.train import Preempted

_MOST_LOST_WORKERS = 20  # of one run
_SAVE_SECONDS = 60.0


class OnRay:
    """The Ray cluster that RAY_ADDRESS names, else that of this host, which is started if need be.

    Raises:
        ImportError: if Ray is missing; names the extra that brings it.
    """

    def __init__(self):
        require_extra("--on ray", "ray", "ray")

    def make(
        self, tasks: Sequence[RunTask], say: Callable[[str], None]
    ) -> Generator[Ended | None, None, None]:
        """Makes tasks, see `Engine`."""
        import ray  # pyright: ignore[reportMissingImports]

        # What is chosen for JAX here holds on every node.
        chosen = {k: v for k, v in os.environ.items() if k.startswith(("JAX_", "XLA_"))}
        ray.init(log_to_driver=False, runtime_env={"env_vars": chosen})
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            # A process a task: JAX and the signals are its own.
            make = ray.remote(max_calls=1, max_retries=_MOST_LOST_WORKERS)(_make)
            asked = [resources(nodes, task.num_devices) for task in tasks]
            for what, count in Counter(map(str, asked)).items():
                say(f"Ray has {len(nodes)} nodes; {count} runs ask it for {what}")
            left = {make.options(**a).remote(t): t for a, t in zip(asked, tasks, strict=True)}
            yield from _ends(left)
        finally:
            ray.shutdown()


def _make(task: RunTask) -> str:
    try:
        return task()
    except Preempted as stop:
        if stop.number == signal.SIGINT:  # Ray has cancelled the task
            raise KeyboardInterrupt from stop
        raise SystemExit(str(stop)) from stop  # as a lost worker, after which Ray tries it again


def _ends(left: dict[Any, RunTask]) -> Generator[Ended | None, None, None]:
    import ray  # pyright: ignore[reportMissingImports]
    from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]

    try:
        while left:
            ended, _ = ray.wait(list(left), timeout=LOOK_SECONDS)
            for reference in ended:
                try:
                    end = Ended(left[reference], said=ray.get(reference))
                except RayError as error:
                    end = Ended(left[reference], error=str(error))
                del left[reference]
                yield end
            yield None
    finally:
        for reference in left:
            ray.cancel(reference)  # as Ctrl-C does
        if left:
            ray.wait(list(left), num_returns=len(left), timeout=_SAVE_SECONDS)


def resources(nodes: Sequence[Mapping[str, float]], num_devices: int | None) -> dict[str, Any]:
    """Returns what a run asks of Ray.

    On a cluster without accelerators a run takes a node, as it does without Ray: XLA uses all cores
    of a host for one run, and a run beside it would change its times.

    Args:
        nodes: the resources of each node.
        num_devices: the devices that the run needs; None for those of a node, the smallest.

    Example:
        >>> nodes = [{"CPU": 8, "GPU": 4}, {"CPU": 8, "GPU": 2}, {"CPU": 2}]
        >>> resources(nodes, 1), resources(nodes, None), resources(nodes[2:], 1)
        ({'num_gpus': 1}, {'num_gpus': 2}, {'num_cpus': 2})
    """
    for kind in ("TPU", "GPU", "CPU"):
        if counts := [node[kind] for node in nodes if node.get(kind)]:
            break
    else:
        return {"num_cpus": 1}  # nodes are yet to come
    if kind == "CPU":
        return {"num_cpus": min(counts)}
    count = num_devices or min(counts)
    return {"num_gpus": count} if kind == "GPU" else {"resources": {"TPU": count}}
