"""Makes a study's runs on an engine."""

import contextlib

from jaxsched.bench.study.engines.engine import Engine
from jaxsched.bench.study.engines.task import RunTask, SharedStudy
from jaxsched.bench.study.engines.watch import Watch
from jaxsched.bench.study.runner import queue_of
from jaxsched.bench.study.study import Study
from jaxsched.tracking.progress import Progress
from jaxsched.tracking.records import Run
from jaxsched.train import Preempted, SignalHandler


def run_on(
    engine: Engine, study: Study, shared: SharedStudy, *, progress: Progress, signals: SignalHandler
) -> int:
    """Makes the runs of a study that have no finished record, each as a task of an engine.

    A run that dies of an error is recorded as failed, as by `run_study`. One whose task ends
    without a result, because its node was lost too often, say, has no record that counts.

    Args:
        engine: makes the tasks.
        study: the study to run.
        shared: the same, as nodes share it.
        progress: shows the progress.
        signals: the signals that end the study, after the runs in progress have saved themselves.

    Returns:
        How many runs have no result.

    Raises:
        ValueError: if runs were made with other data.
        Preempted: if a signal was received.
    """
    queue = queue_of(study, shared.records, progress)
    progress.say(queue.summary())
    progress.start(queue.examples_left)
    watches = {
        RunTask(
            shared,
            Run(job.experiment.name, job.experiment.digest(), job.seed),
            job.experiment.num_devices,
        ): Watch(job, progress)
        for job in queue.free
    }
    if not watches:
        return 0
    progress.show(f"{len(watches)} runs")
    token, lost = shared.folder / shared.token, 0
    token.touch()
    try:
        with contextlib.closing(engine.make(list(watches), progress.say)) as ends:
            for ended in ends:
                for watch in watches.values():
                    watch.look()
                if ended is not None:
                    lost += not watches.pop(ended.task).end(ended.said, ended.error)
                if signals.received is not None and watches:
                    raise Preempted(signals.received, f"with {len(watches)} runs left")
    finally:
        token.unlink(missing_ok=True)
    return lost
