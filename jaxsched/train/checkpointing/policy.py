"""The checkpoint policy: it decides when a run is saved, and saves it."""

import math
import time
from collections.abc import Callable

from jaxsched.experiment.from_description import describe_dataset
from jaxsched.experiment.serialize import describe
from jaxsched.plan import Plan
from jaxsched.train.checkpointing.checkpoints import Checkpoints
from jaxsched.train.checkpointing.preemption import Preempted, SignalHandler
from jaxsched.train.checkpointing.run_state import RunState
from jaxsched.train.distributed.multihost import HostVotes, broadcast_from_main
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.program.program import Program
from jaxsched.train.same_data import DATA_KEY


class CheckpointPolicy:
    """Decides when a run is saved, and saves all that a resumed run needs.

    A run is always saved when `every_seconds` have passed since it was saved last, and when a
    signal ends it: so it can be resumed. The arguments after `every_seconds` save it at other times
    too, for what its user may want once it is over.

    Args:
        open_checkpoints: returns the checkpoints of this run. It is called on the main process
            alone, and only when there is something to save; the other processes have none.
        program: the compiled experiment.
        seed: the run's seed.
        signals: the signals that save the run and end it.
        every_seconds: the most training time that a crash may cost.
        save_phase_starts: save before the first update of every phase but the first.
        save_best: save after an evaluation that is better than all before it in this process, in
            the task's main metric on the test set.
        save_last: save when the run ends, unless it diverged.
        keep_before_last_decay: save before ABEL's last decay, also under the name
            `before_last_decay`, which is never removed: a longer run can go on from there.

    Attributes:
        save_last: as given.
    """

    BEFORE_LAST_DECAY = "before_last_decay"

    def __init__(
        self,
        open_checkpoints: Callable[[], Checkpoints | None],
        program: Program,
        seed: int,
        signals: SignalHandler,
        *,
        every_seconds: float = 600.0,
        save_phase_starts: bool = False,
        save_best: bool = False,
        save_last: bool = False,
        keep_before_last_decay: bool = False,
    ):
        self._open, self._signals, self._driver = open_checkpoints, signals, program.driver
        self._identity = {
            "experiment": describe(program.experiment),
            "seed": seed,
            # What it takes to use what was trained, without the data or with another number of
            # devices.
            "dataset": describe_dataset(program.dataset),
            "num_shards": program.driver.num_shards,
            DATA_KEY: program.dataset.fingerprint,
        }
        self._every_seconds, self._saved_at = every_seconds, time.monotonic()
        self._save_phase_starts, self._save_best = save_phase_starts, save_best
        self.save_last = save_last
        self._abel = program.experiment.optimizer.abel if keep_before_last_decay else None
        self._metric = program.experiment.task.main_metric
        self._best_score = -math.inf

    def stops(self, plan: Plan) -> tuple[int, ...]:
        """The updates before which the run is always saved, so that a dispatch has to end there."""
        last_decay = self._last_decay_at(plan)
        starts = [segment.start_step for segment in plan.segments[1:]]
        return (
            *(starts if self._save_phase_starts else ()),
            *(() if last_decay is None else (last_decay,)),
        )

    def votes(self, updates: int) -> HostVotes:
        """The votes of this process, which alone knows its clock and the signals that it received.

        Args:
            updates: how many updates it would put into the next dispatch.
        """
        is_late = time.monotonic() - self._saved_at > self._every_seconds
        return HostVotes(-updates, int(is_late), self._signals.received or 0)

    def is_due(self, step: int, plan: Plan, agreed: HostVotes) -> bool:
        """Returns whether to save between two dispatches."""
        return bool(agreed.save or agreed.signal) or step in self.stops(plan)

    def is_due_after(self, row: Evaluation, plan: Plan, agreed: HostVotes) -> bool:
        """Returns whether to save after an evaluation."""
        is_best = self._save_best and self._score(row) > self._best_score
        self._best_score = max(self._best_score, self._score(row))
        return is_best or self.is_due(row.step, plan, agreed)

    def save(self, step: int, run_state: RunState, agreed: HostVotes) -> None:
        """Saves the run. All processes call this; the main process writes.

        Raises:
            Preempted: after the run is saved, when a signal has come.
            OSError: on the main process, when the run cannot be written; the checkpoints before
                are kept. On the other processes this is a ValueError.
        """
        broadcast_from_main(
            self._driver, lambda: self._write(step, run_state, wait=bool(agreed.signal))
        )
        self._saved_at = time.monotonic()
        if agreed.signal:
            raise Preempted(agreed.signal, f"and saved at update {step}")

    def _write(self, step: int, run_state: RunState, *, wait: bool) -> None:
        checkpoints = self._open()
        assert checkpoints is not None  # on the main process
        content = {**self._identity, **run_state.content(step)}
        arrays, beside = run_state.arrays, run_state.averaged_stats
        if step == self._last_decay_at(run_state.plan):
            name = self.BEFORE_LAST_DECAY
            checkpoints.save_named(name, step, arrays, content, beside=beside)
        rows = run_state.rows
        # The score is that of these very weights: between evaluations it is not known.
        score = self._score(rows[-1]) if rows and rows[-1].step == step else None
        checkpoints.save(step, arrays, content, score=score, beside=beside)
        if wait:
            checkpoints.wait()

    def _score(self, row: Evaluation) -> float:
        """The main metric on the test set, with a sign that makes higher ones better."""
        return self._metric.gain(row.metrics[f"test_{self._metric.name}"], before=0.0)

    def _last_decay_at(self, plan: Plan) -> int | None:
        return None if self._abel is None else self._abel.last_decay_at(plan)
