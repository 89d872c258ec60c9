"""How a run is saved, and when: by time, and when it is told to end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from jaxsched.experiment.serialize import describe
from jaxsched.plan import Plan
from jaxsched.train.checkpointing.checkpoints import Checkpoints
from jaxsched.train.checkpointing.preemption import Preempted, SignalHandler
from jaxsched.train.checkpointing.run_state import RunState
from jaxsched.train.distributed.multihost import HostVotes, broadcast_from_main
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.program.program import Program


class Saving:
    """Saves a run every few minutes and on a signal: what it takes to go on where it was cut off.

    Args:
        open_checkpoints: gives the checkpoints of this run; called on the main process alone, and
            only when there is something to save. Elsewhere there may be none.
        program: the experiment, compiled.
        seed: of the run.
        signals: on which the run is saved and ends.
        every_seconds: how much of the run a crash may cost at most.
    """

    def __init__(
        self,
        open_checkpoints: Callable[[], Checkpoints | None],
        program: Program,
        seed: int,
        signals: SignalHandler,
        *,
        every_seconds: float = 600.0,
    ):
        self._open, self._signals, self._driver = open_checkpoints, signals, program.driver
        self._experiment = program.experiment
        self._identity = {"experiment": describe(program.experiment), "seed": seed}
        self._every_seconds, self._saved = every_seconds, time.monotonic()

    def stops(self, plan: Plan) -> tuple[int, ...]:
        """Updates of a run with this plan before which it is saved whatever the time."""
        del plan
        return ()

    def votes(self, updates: int) -> HostVotes:
        """What this process wants: it alone knows its clock and its signals."""
        is_late = time.monotonic() - self._saved > self._every_seconds
        return HostVotes(-updates, int(is_late), self._signals.received or 0)

    def is_due(self, step: int, plan: Plan, agreed: HostVotes) -> bool:
        """Whether to save between two dispatches."""
        return bool(agreed.save or agreed.signal) or step in self.stops(plan)

    def is_due_after(self, row: Evaluation, plan: Plan, agreed: HostVotes) -> bool:
        """Whether to save after an evaluation."""
        return self.is_due(row.step, plan, agreed)

    def is_due_at_the_end(self) -> bool:
        """Whether to save a run that has ended."""
        return False

    def save(self, step: int, position: RunState, agreed: HostVotes) -> None:
        """Saves the run, on the main process.

        Raises:
            Preempted: once it is saved, when a signal has come.
            OSError: when it cannot be written; what was saved before is kept. On processes that
                save nothing it is a ValueError.
        """
        broadcast_from_main(
            self._driver, lambda: self._write(step, position, to_the_end=bool(agreed.signal))
        )
        self._saved = time.monotonic()
        if agreed.signal:
            raise Preempted(agreed.signal, f"and saved at update {step}")

    def _write(self, step: int, position: RunState, *, to_the_end: bool) -> None:
        checkpoints = self._open()
        assert checkpoints is not None
        self._save(checkpoints, step, position, {**self._identity, **_content(step, position)})
        if to_the_end:
            checkpoints.wait()

    def _save(
        self, checkpoints: Checkpoints, step: int, position: RunState, content: Mapping[str, Any]
    ) -> None:
        rows = position.rows
        accuracy = rows[-1].test_accuracy if rows and rows[-1].step == step else None
        checkpoints.save(step, position.arrays, content, accuracy=accuracy)


def _content(step: int, position: RunState) -> Mapping[str, Any]:
    plan = position.plan
    return {
        "examples": plan.examples_at(step),
        "num_examples": plan.num_examples,
        "phases": [(phase.epochs, phase.batch_size) for phase in plan.phases],
        "rows": [describe(row) for row in position.rows],
        "train_seconds": position.train_seconds,
        "evaluation_seconds": position.evaluation_seconds,
    }
