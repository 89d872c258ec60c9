"""One state that several runs go on from: that of a run at middle values, on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jaxsched.experiment import Experiment, describe
from jaxsched.plan import Plan
from jaxsched.train import Checkpoints, Evaluation, Program, RunState, train
from jaxsched.train.checkpointing.checkpoints import restore_named

_NAME = "snapshot"


class Snapshots:
    """The states, one a seed, of an experiment at the first evaluation after some epochs.

    Each is on disk once it is reached, and is not made again.

    Args:
        experiment: with the middle values; it trains on as any member does.
        epochs: how far.
        folder: of the snapshots; those of another experiment or another time need another one.

    Raises:
        ValueError: when a run diverges before its snapshot.
    """

    def __init__(self, experiment: Experiment, epochs: float, folder: Path):
        self.experiment, self.epochs, self._folder = experiment, epochs, folder

    def is_made(self, seed: int) -> bool:
        """Whether the one of this seed is on disk."""
        return self._path(seed).exists()

    def position(
        self,
        program: Program,
        seed: int,
        on_examples: Callable[[int], None] = lambda examples: None,
    ) -> RunState:
        """Where the members of this seed go on from.

        Args:
            program: of a family that the experiment belongs to.
            seed: of the run.
            on_examples: takes the number of examples trained on, where the state has to be reached
                first.
        """
        if not self.is_made(seed):
            self._make(program.member(self.experiment), seed, on_examples)
        like = RunState.first(program, seed).arrays
        return RunState.of(restore_named(self._path(seed), like), program)

    def num_updates(self, program: Program) -> int:
        """How many updates lead to it."""
        plan, steps = program.plan, program.evaluation_steps(program.plan)
        return next(step for step in steps if self._is_reached(plan.examples_at(step), plan))

    def _make(self, program: Program, seed: int, on_examples: Callable[[int], None]) -> None:
        def stop(rows: Sequence[Evaluation]) -> str:
            is_reached = bool(rows) and self._is_reached(rows[-1].examples, program.plan)
            return _NAME if is_reached else ""

        outcome = train(
            program, seed, on_evaluation=lambda row: None, on_examples=on_examples, stop=stop
        )
        if outcome.status == "diverged":
            raise ValueError(
                f"{self.experiment.name}, from which the others go on, {outcome.reason}; give "
                "other values, or start each from its first weights."
            )
        last = outcome.rows[-1]
        content = {
            "rows": [describe(row) for row in outcome.rows],
            "train_seconds": last.train_seconds,
            "evaluation_seconds": last.evaluation_seconds,
            "experiment": describe(self.experiment),
            "seed": seed,
        }
        arrays = outcome.state, program.zero_sums()
        with Checkpoints(self._path(seed).parent) as checkpoints:
            checkpoints.save_named(_NAME, last.step, arrays, content)

    def _is_reached(self, examples: int, plan: Plan) -> bool:
        return examples >= round(self.epochs * plan.num_examples)

    def _path(self, seed: int) -> Path:
        return self._folder / f"seed{seed}" / _NAME
