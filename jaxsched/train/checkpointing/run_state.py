"""Where a run stands: all that it takes to go on from there."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Phase, Plan
from jaxsched.train.checkpointing.checkpoints import Snapshot
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.program.program import Program
from jaxsched.train.step.metrics import MetricSums
from jaxsched.train.step.state import TrainState


class RunState(NamedTuple):
    """Where a run stands: all that it takes to go on from here as if it had never stopped."""

    state: TrainState
    sums: MetricSums  # of the updates since the last evaluation
    plan: Plan  # the experiment's, or what has become of it where batch sizes are learned
    rows: tuple[Evaluation, ...] = ()
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0

    @classmethod
    def first(cls, program: Program, seed: int) -> "RunState":
        """Before the first update."""
        return cls(program.init(seed), program.zero_sums(), program.plan)

    @classmethod
    def of(cls, snapshot: Snapshot, program: Program) -> "RunState":
        """What a checkpoint holds, on the program's devices."""
        state, sums = program.driver.replicate(snapshot.arrays)
        content = snapshot.content
        rows = ({k: v for k, v in row.items() if k != "type"} for row in content["rows"])
        seconds = (content["train_seconds"], content["evaluation_seconds"])
        plan = plan_so_far(program.experiment, program.plan, content)
        return cls(state, sums, plan, tuple(Evaluation(**row) for row in rows), *seconds)

    def growing_to(self, batch_size: int, step: int) -> "RunState":
        """From this step on at another batch size, for as many epochs as were left."""
        plan = self.plan
        done = plan.examples_at(step) / plan.num_examples
        *before, last = plan.phases
        begun = sum(phase.epochs for phase in before)
        phases = (*before, Phase(done - begun, last.batch_size))
        rest = Phase(begun + last.epochs - done, batch_size)
        return self._replace(plan=Plan((*phases, rest), plan.num_examples))

    @property
    def arrays(self) -> tuple[TrainState, MetricSums]:
        """What lies on the devices."""
        return self.state, self.sums

    @property
    def step(self) -> int:
        """Updates made; waits for the device."""
        return int(self.state.step)


def plan_so_far(experiment: Experiment, plan: Plan, content: Mapping[str, Any]) -> Plan:
    """The plan that a saved run had come to.

    Where batch sizes are learned, those so far, and the last for as long as the experiment trains.

    Args:
        experiment: that goes on.
        plan: of the experiment.
        content: of the checkpoint.
    """
    if experiment.batch_growth is None:
        return plan
    *before, last = (Phase(*phase) for phase in content["phases"])
    left = plan.total_epochs - sum(phase.epochs for phase in before)
    return Plan((*before, Phase(left, last.batch_size)), plan.num_examples)
