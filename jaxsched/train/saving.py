"""When a run is saved."""

import time
from collections.abc import Mapping
from typing import Any

from jaxsched.train.checkpoints import Checkpoints
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.experiment import describe
from jaxsched.train.position import Position
from jaxsched.train.processes import Wishes
from jaxsched.train.program import Program
from jaxsched.train.signals import Preempted, Signals


class Saving:
    """Saves a run every few minutes, at a change of phase, when it is best, and at the end.

    The state before ABEL's last decay is kept under the name `before_last_decay` as well: a longer
    run can go on from it.

    Args:
        checkpoints: of this run; None on a process that is not the main one and saves nothing.
        program: the experiment, compiled.
        seed: of the run.
        signals: on which the run is saved and ends.
        every_seconds: how much of the run a crash may cost at most.

    Attributes:
        stops: updates before which it is saved whatever the time.
    """

    BEFORE_LAST_DECAY = "before_last_decay"

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        program: Program,
        seed: int,
        signals: Signals,
        *,
        every_seconds: float = 600.0,
    ):
        plan, abel = program.plan, program.experiment.optimizer.abel
        self._checkpoints, self._signals, self._plan = checkpoints, signals, plan
        self._last_decay_at = abel.last_decay_at(plan) if abel else None
        self._identity = {"experiment": describe(program.experiment), "seed": seed}
        self._every_seconds, self._saved = every_seconds, time.monotonic()
        self._best = 0.0
        decays = () if self._last_decay_at is None else (self._last_decay_at,)
        self.stops = (*(segment.start_step for segment in plan.segments[1:]), *decays)

    def wishes(self, updates: int) -> Wishes:
        """What this process wants: it alone knows its clock and its signals."""
        is_late = time.monotonic() - self._saved > self._every_seconds
        return Wishes(-updates, int(is_late), self._signals.received or 0)

    def is_due(self, step: int, agreed: Wishes) -> bool:
        """Whether to save between two dispatches."""
        return bool(agreed.save or agreed.signal) or step in self.stops

    def is_due_after(self, row: Evaluation, agreed: Wishes) -> bool:
        """Whether to save after an evaluation."""
        is_best, self._best = row.test_accuracy > self._best, max(self._best, row.test_accuracy)
        return is_best or self.is_due(row.step, agreed)

    def save(self, step: int, position: Position, agreed: Wishes) -> None:
        """Saves the run.

        Raises:
            Preempted: once it is saved, when a signal has come.
            OSError: when it cannot be written; what was saved before is kept.
        """
        if self._checkpoints is not None:
            self._write(self._checkpoints, step, position)
        self._saved = time.monotonic()
        if agreed.signal:
            if self._checkpoints is not None:
                self._checkpoints.wait()
            raise Preempted(step, agreed.signal)

    def _write(self, checkpoints: Checkpoints, step: int, position: Position) -> None:
        content = {**self._identity, **self._content(step, position)}
        if step == self._last_decay_at:
            checkpoints.save_named(self.BEFORE_LAST_DECAY, step, position.arrays, content)
        rows = position.rows
        accuracy = rows[-1].test_accuracy if rows and rows[-1].step == step else None
        checkpoints.save(step, position.arrays, content, accuracy=accuracy)

    def _content(self, step: int, position: Position) -> Mapping[str, Any]:
        return {
            "examples": self._plan.examples_at(step),
            "num_examples": self._plan.num_examples,
            "rows": [describe(row) for row in position.rows],
            "train_seconds": position.train_seconds,
            "evaluation_seconds": position.evaluation_seconds,
        }
