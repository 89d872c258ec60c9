"""When a run is saved."""

import time
from collections.abc import Mapping
from typing import Any

from jaxsched.train.checkpoints import Checkpoints
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.experiment import describe
from jaxsched.train.position import Position
from jaxsched.train.program import Program
from jaxsched.train.signals import Preempted, Signals


class Saving:
    """Saves a run every few minutes, at a change of phase, when it is best, and at the end.

    The state before ABEL's last decay is kept under the name `before_last_decay` as well: a longer
    run can go on from it.

    Args:
        checkpoints: of this run.
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
        checkpoints: Checkpoints,
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

    def is_due(self, step: int) -> bool:
        """Whether to save between two dispatches."""
        is_late = time.monotonic() - self._saved > self._every_seconds
        return is_late or step in self.stops or self._signals.received is not None

    def is_due_after(self, row: Evaluation) -> bool:
        """Whether to save after an evaluation."""
        is_best, self._best = row.test_accuracy > self._best, max(self._best, row.test_accuracy)
        return is_best or self.is_due(row.step)

    def save(self, step: int, position: Position) -> None:
        """Saves the run.

        Raises:
            Preempted: once it is saved, when a signal has come.
            OSError: when it cannot be written; what was saved before is kept.
        """
        content = {**self._identity, **self._content(step, position)}
        if step == self._last_decay_at:
            self._checkpoints.save_named(self.BEFORE_LAST_DECAY, step, position.arrays, content)
        rows = position.rows
        accuracy = rows[-1].test_accuracy if rows and rows[-1].step == step else None
        self._checkpoints.save(step, position.arrays, content, accuracy=accuracy)
        self._saved = time.monotonic()
        if self._signals.received is not None:
            self._checkpoints.wait()
            raise Preempted(step, self._signals.received)

    def _content(self, step: int, position: Position) -> Mapping[str, Any]:
        return {
            "examples": self._plan.examples_at(step),
            "num_examples": self._plan.num_examples,
            "rows": [describe(row) for row in position.rows],
            "train_seconds": position.train_seconds,
            "evaluation_seconds": position.evaluation_seconds,
        }
