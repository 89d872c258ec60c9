"""Where a run stands: all that it takes to go on from there."""

from typing import NamedTuple

from jaxsched.train.checkpoints import Snapshot
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.program import Program
from jaxsched.train.state import TrainState
from jaxsched.train.sums import Sums


class Position(NamedTuple):
    """Where a run stands: all that it takes to go on from here as if it had never stopped."""

    state: TrainState
    sums: Sums  # of the updates since the last evaluation
    rows: tuple[Evaluation, ...] = ()
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0

    @classmethod
    def first(cls, program: Program, seed: int) -> "Position":
        """Before the first update."""
        return cls(program.init(seed), program.zero_sums())

    @classmethod
    def of(cls, snapshot: Snapshot, program: Program) -> "Position":
        """What a checkpoint holds, on the program's devices."""
        state, sums = program.driver.replicate(snapshot.arrays)
        content = snapshot.content
        rows = ({k: v for k, v in row.items() if k != "type"} for row in content["rows"])
        seconds = (content["train_seconds"], content["evaluation_seconds"])
        return cls(state, sums, tuple(Evaluation(**row) for row in rows), *seconds)

    @property
    def arrays(self) -> tuple[TrainState, Sums]:
        """What lies on the devices."""
        return self.state, self.sums

    @property
    def step(self) -> int:
        """Updates made; waits for the device."""
        return int(self.state.step)
