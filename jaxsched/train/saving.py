"""When a run is saved."""

import time
from collections.abc import Mapping
from typing import Any

from jaxsched.plan import Plan
from jaxsched.train.checkpoints import Checkpoints
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.experiment import describe
from jaxsched.train.position import Position
from jaxsched.train.processes import Wishes, from_main
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
        self._checkpoints, self._signals, self._driver = checkpoints, signals, program.driver
        self._abel = program.experiment.optimizer.abel
        self._identity = {"experiment": describe(program.experiment), "seed": seed}
        self._every_seconds, self._saved = every_seconds, time.monotonic()
        self._best = 0.0

    def stops(self, plan: Plan) -> tuple[int, ...]:
        """Updates of a run with this plan before which it is saved whatever the time."""
        last_decay = self._last_decay_at(plan)
        decays = () if last_decay is None else (last_decay,)
        return (*(segment.start_step for segment in plan.segments[1:]), *decays)

    def _last_decay_at(self, plan: Plan) -> int | None:
        return self._abel.last_decay_at(plan) if self._abel else None

    def wishes(self, updates: int) -> Wishes:
        """What this process wants: it alone knows its clock and its signals."""
        is_late = time.monotonic() - self._saved > self._every_seconds
        return Wishes(-updates, int(is_late), self._signals.received or 0)

    def is_due(self, step: int, plan: Plan, agreed: Wishes) -> bool:
        """Whether to save between two dispatches."""
        return bool(agreed.save or agreed.signal) or step in self.stops(plan)

    def is_due_after(self, row: Evaluation, plan: Plan, agreed: Wishes) -> bool:
        """Whether to save after an evaluation."""
        is_best, self._best = row.test_accuracy > self._best, max(self._best, row.test_accuracy)
        return is_best or self.is_due(row.step, plan, agreed)

    def save(self, step: int, position: Position, agreed: Wishes) -> None:
        """Saves the run, on the main process.

        Raises:
            Preempted: once it is saved, when a signal has come.
            OSError: when it cannot be written; what was saved before is kept. On processes that
                save nothing it is a ValueError.
        """
        from_main(self._driver, lambda: self._write(step, position, to_the_end=bool(agreed.signal)))
        self._saved = time.monotonic()
        if agreed.signal:
            raise Preempted(step, agreed.signal)

    def _write(self, step: int, position: Position, *, to_the_end: bool) -> None:
        checkpoints = self._checkpoints
        assert checkpoints is not None
        content = {**self._identity, **self._content(step, position)}
        if step == self._last_decay_at(position.plan):
            checkpoints.save_named(self.BEFORE_LAST_DECAY, step, position.arrays, content)
        rows = position.rows
        accuracy = rows[-1].test_accuracy if rows and rows[-1].step == step else None
        checkpoints.save(step, position.arrays, content, accuracy=accuracy)
        if to_the_end:
            checkpoints.wait()

    def _content(self, step: int, position: Position) -> Mapping[str, Any]:
        plan = position.plan
        return {
            "examples": plan.examples_at(step),
            "num_examples": plan.num_examples,
            "phases": [(phase.epochs, phase.batch_size) for phase in plan.phases],
            "rows": [describe(row) for row in position.rows],
            "train_seconds": position.train_seconds,
            "evaluation_seconds": position.evaluation_seconds,
        }
