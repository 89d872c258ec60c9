"""The state of a whole run: everything that it takes to continue it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsched.models import BatchStats
from jaxsched.plan import Phase, Plan
from jaxsched.train.checkpointing.checkpoints import Snapshot
from jaxsched.train.checkpointing.plan_so_far import plan_so_far
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.program.program import Program
from jaxsched.train.step.state import TrainState
from jaxsched.train.step.update_sums import UpdateSums


class RunState(NamedTuple):
    """Everything that it takes to continue a run as if it had never stopped."""

    state: TrainState
    sums: UpdateSums  # over the updates since the last evaluation
    plan: Plan  # the experiment's, unless it learns its batch sizes: then it changes on the way
    rows: tuple[Evaluation, ...] = ()
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    # The average's batch-norm statistics, which an evaluation re-estimated; None at other updates.
    averaged_stats: BatchStats | None = None
    pretrained: Mapping[str, Any] | None = None  # what the layers are that the run started from

    @classmethod
    def first(cls, program: Program, seed: int) -> "RunState":
        """Returns the state before the first update."""
        start = cls(program.init(seed), program.zero_sums(), program.plan)
        taken = program.pretrained
        return start if taken is None else start._replace(pretrained=taken.origin)

    @classmethod
    def of(cls, snapshot: Snapshot, program: Program) -> "RunState":
        """Places what a checkpoint holds on the program's devices."""
        state, sums = program.driver.replicate(snapshot.arrays)
        content = snapshot.content
        rows = tuple(map(Evaluation.from_json, content["rows"]))
        seconds = (content["train_seconds"], content["evaluation_seconds"])
        plan = plan_so_far(program.experiment, program.plan, content)
        return cls(state, sums, plan, rows, *seconds, pretrained=content.get("pretrained"))

    def content(self, step: int) -> dict[str, Any]:
        """Returns the JSON that is saved beside the arrays; `of` and `plan_so_far` read it.

        Args:
            step: the number of updates made.
        """
        plan = self.plan
        return {
            "examples": plan.examples_at(step),
            "num_examples": plan.num_examples,
            "phases": [(phase.epochs, phase.batch_size) for phase in plan.phases],
            "rows": [row.as_json() for row in self.rows],
            "train_seconds": self.train_seconds,
            "evaluation_seconds": self.evaluation_seconds,
            "pretrained": self.pretrained,
        }

    def with_batch_size(self, batch_size: int, step: int) -> "RunState":
        """Continues at another batch size from `step` on, for as many epochs as are left."""
        plan = self.plan
        done = plan.examples_at(step) / plan.num_examples
        *before, last = plan.phases
        begun = sum(phase.epochs for phase in before)
        phases = (*before, Phase(done - begun, last.batch_size))
        rest = Phase(begun + last.epochs - done, batch_size)
        return self._replace(plan=Plan((*phases, rest), plan.num_examples))

    @property
    def arrays(self) -> tuple[TrainState, UpdateSums]:
        """The part that is on the devices."""
        return self.state, self.sums

    @property
    def step(self) -> int:
        """The number of updates made; waits for the device."""
        return int(self.state.step)
