"""The progress of a run that a task makes, as the waiting process sees it in the record."""

from jaxsched.bench.study.queue import Job
from jaxsched.bench.study.unfinished import UnfinishedRun
from jaxsched.tracking.progress import Progress
from jaxsched.tracking.records import FAILED, Record, read_records


class Watch:
    """Shows the progress of a run that a task makes.

    Args:
        job: the run.
        progress: shows the progress.
    """

    def __init__(self, job: Job, progress: Progress):
        self._job, self._progress = job, progress
        metric = job.experiment.task.main_metric
        self._shown = progress.run(job.label, metric, begun=job.examples - job.examples_left)
        self._size = self._size_now()  # that of an earlier attempt's record

    def look(self) -> None:
        """Shows how far the run is, if its record has grown."""
        size = self._size_now()
        if size == self._size:
            return
        self._size, record = size, self._record()
        if record is not None and record.evaluations:
            self._shown.done(record.evaluations[-1]["examples"])
            self._progress.show(UnfinishedRun(self._job.path, record, is_in_progress=True).words)

    def end(self, said: str, error: str) -> bool:
        """Shows how the run ended; returns whether it has a result.

        Args:
            said: what the task had to say about it.
            error: why the task ended without a result; "" if it did not.
        """
        record = self._record()
        has_result = not error and record is not None and record.end is not None
        if record is None or record.end is None or error:
            reason = error or "its task ended without a result"
        elif record.status == FAILED:
            reason = f"failed, {record.end['reason']}"
        else:
            said, reason = "", record.end["reason"]
        if said:
            self._progress.say(said)
        self._shown.end(self._job.examples, reason)
        return has_result

    def _size_now(self) -> int:
        try:
            return self._job.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _record(self) -> Record | None:
        records, _ = read_records([self._job.path])
        return records[0] if records and records[0].header else None
