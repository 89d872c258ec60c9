"""Runs on Slurm: arrays of jobs by submitit, queued again after a lost node or a time limit."""

import os
import re
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxsched.bench.study.engines.engine import LOOK_SECONDS, Ended
from jaxsched.bench.study.engines.task import RunTask
from jaxsched.extras import require_extra
from jaxsched.train import Preempted

_MINUTES = 24 * 60
_MOST_TIME_LIMITS = 100  # of one run
_KILL_SECONDS = 600.0


class OnSlurm:
    """The Slurm cluster of this host.

    Args:
        cluster: submitit's name of it; "local" makes the tasks as processes of this host.

    Raises:
        ImportError: if submitit is missing; names the extra that brings it.
        ValueError: if this host has no Slurm.
    """

    def __init__(self, cluster: Literal["slurm", "local"] = "slurm"):
        require_extra("--on slurm", "slurm", "submitit")
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise ValueError(
                "--on slurm needs the commands of Slurm, got a host without sbatch; give the "
                "command on a host from which jobs are submitted."
            )
        self._cluster = cluster

    def make(
        self, tasks: Sequence[RunTask], say: Callable[[str], None]
    ) -> Generator[Ended | None, None, None]:
        """Makes tasks, see `Engine`; those that need as many devices are one array."""
        import submitit  # pyright: ignore[reportMissingImports]

        alike: dict[int | None, list[RunTask]] = defaultdict(list)
        for task in tasks:
            alike[task.num_devices].append(task)
        left: dict[Any, RunTask] = {}
        try:
            for num_devices, array in alike.items():
                logs = array[0].study.folder / "slurm"
                executor = submitit.AutoExecutor(
                    logs, cluster=self._cluster, slurm_max_num_timeout=_MOST_TIME_LIMITS
                )
                executor.update_parameters(
                    name="jaxsched",
                    timeout_min=_MINUTES,
                    slurm_additional_parameters={"requeue": True},
                )
                if self._cluster == "slurm":
                    executor.update_parameters(**resources(_devices(), num_devices))
                try:
                    with executor.batch():
                        jobs = [executor.submit(_Job(task)) for task in array]
                except RuntimeError as error:  # which has the words of `sbatch`
                    raise ValueError(f"Slurm does not take the jobs: {error}") from error
                left.update(zip(jobs, array, strict=True))
                say(f"{len(jobs)} jobs from {jobs[0].job_id} on, whose logs are in {logs}")
            while left:
                for job in [job for job in left if job.done()]:
                    yield _end(left.pop(job), job)
                yield None
                time.sleep(LOOK_SECONDS)
        finally:
            for job in left:
                job.cancel(check=False)


def _end(task: RunTask, job: Any) -> Ended:
    error = job.exception()
    return Ended(task, said=job.result()) if error is None else Ended(task, error=str(error))


@dataclass(frozen=True)
class _Job:
    """A task that is queued again when its time is up, or when Slurm takes its node."""

    task: RunTask

    def __call__(self) -> str:
        try:
            return self.task()
        except Preempted:
            # Slurm ends the job now; one that ends by itself it would not queue again.
            time.sleep(_KILL_SECONDS)
            raise

    def checkpoint(self) -> Any:
        """Returns what submitit queues when the time is up."""
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]

        return DelayedSubmission(self)


def _devices() -> list[str]:
    """The words of `sinfo` about the devices of the nodes that jobs go to."""
    chosen = os.environ.get("SBATCH_PARTITION")
    options = ["--partition", chosen] if chosen else []
    command = ["sinfo", "--noheader", "--format=%P %G", *options]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise ValueError(f"Slurm does not answer: {answer.stderr.strip()}")
    named = [line.split() for line in answer.stdout.splitlines()]
    return [devices for name, devices in named if chosen or name.endswith("*")]  # the default one


def resources(devices: Sequence[str], num_devices: int | None) -> dict[str, Any]:
    """Returns what a run asks of Slurm, as parameters of submitit.

    On nodes without GPUs a run takes a node, as it does without Slurm: XLA uses all cores of a host
    for one run, and a run beside it would change its times.

    Args:
        devices: what `sinfo` says of the nodes' devices.
        num_devices: the devices that the run needs; None for those of a node, the smallest.

    Example:
        >>> nodes = ["gpu:a100:4(S:0-1)", "gpu:2,nvme:1", "(null)"]
        >>> resources(nodes, 1), resources(nodes, None), resources(nodes[2:], 1)
        ({'gpus_per_node': 1}, {'gpus_per_node': 2}, {'slurm_exclusive': True, 'slurm_mem': '0'})
    """
    found = [re.findall(r"\bgpu(?::[^:,(]+)?:(\d+)", node) for node in devices]
    if counts := [sum(map(int, numbers)) for numbers in found if numbers]:
        return {"gpus_per_node": num_devices or min(counts)}
    return {"slurm_exclusive": True, "slurm_mem": "0"}
