"""Runs on Slurm: an array of jobs by submitit, requeued after a preemption or a time limit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import submitit
from submitit.helpers import DelayedSubmission

from jaxsched.bench.study.engines.task import RunTask

_MINUTES = 24 * 60  # SBATCH_TIMELIMIT overrides it


@dataclass(frozen=True)
class _Requeued:
    """A task that submitit queues again when Slurm takes its node or its time is up."""

    task: RunTask

    def __call__(self) -> str:
        return self.task()

    def checkpoint(self) -> DelayedSubmission:
        return DelayedSubmission(self)


def run_on_slurm(
    tasks: Sequence[RunTask], say: Callable[[str], None], *, cluster: str = "slurm"
) -> None:
    """Makes the tasks as an array for each number of devices, and waits for them.

    Args:
        tasks: the runs to make.
        say: shows a line for each run that has ended.
        cluster: submitit's name of the cluster; "local" makes the runs as processes of this host.
    """
    jobs = []
    for num_devices, alike in groupby(sorted(tasks, key=_devices), key=_devices):
        executor = submitit.AutoExecutor(tasks[0].folder / "slurm", cluster=cluster)
        executor.update_parameters(name="jaxsched", timeout_min=_MINUTES)
        if cluster == "slurm":
            executor.update_parameters(gpus_per_node=num_devices)
        with executor.batch():  # an array; each callable has its own way to be queued again
            jobs += [executor.submit(_Requeued(task)) for task in alike]
    for count, job in enumerate(submitit.helpers.as_completed(jobs), start=1):
        say(f"{job.result()}: ended, {len(jobs) - count} runs left")


def _devices(task: RunTask) -> int:
    return task.num_devices
