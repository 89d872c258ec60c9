"""What of a run is worth keeping when it is over."""

from collections.abc import Mapping
from typing import Any

from jaxsched.plan import Plan
from jaxsched.train.checkpointing.checkpoints import Checkpoints
from jaxsched.train.checkpointing.policy import Saving
from jaxsched.train.checkpointing.run_state import RunState
from jaxsched.train.distributed.multihost import HostVotes
from jaxsched.train.evaluation import Evaluation


class Keeping(Saving):
    """Saves a run also at a change of phase, when it is best, and at the end.

    The state before ABEL's last decay is kept under the name `before_last_decay` as well: a longer
    run can go on from it. The arguments are those of `Saving`.
    """

    BEFORE_LAST_DECAY = "before_last_decay"

    _best = 0.0  # accuracy so far

    def stops(self, plan: Plan) -> tuple[int, ...]:
        """See `Saving.stops`."""
        last_decay = self._last_decay_at(plan)
        decays = () if last_decay is None else (last_decay,)
        return (*(segment.start_step for segment in plan.segments[1:]), *decays)

    def _last_decay_at(self, plan: Plan) -> int | None:
        abel = self._experiment.optimizer.abel
        return abel.last_decay_at(plan) if abel else None

    def is_due_after(self, row: Evaluation, plan: Plan, agreed: HostVotes) -> bool:
        """See `Saving.is_due_after`."""
        is_best, self._best = row.test_accuracy > self._best, max(self._best, row.test_accuracy)
        return is_best or super().is_due_after(row, plan, agreed)

    def is_due_at_the_end(self) -> bool:
        """See `Saving.is_due_at_the_end`."""
        return True

    def _save(
        self, checkpoints: Checkpoints, step: int, position: RunState, content: Mapping[str, Any]
    ) -> None:
        if step == self._last_decay_at(position.plan):
            checkpoints.save_named(self.BEFORE_LAST_DECAY, step, position.arrays, content)
        super()._save(checkpoints, step, position, content)
