"""Snapshots: states on disk of a run at middle values, which several runs start from."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jaxsched.experiment import Experiment, describe
from jaxsched.plan import Plan
from jaxsched.train import Checkpoints, Evaluation, Program, RunState, train
from jaxsched.train.checkpointing.checkpoints import restore_named
from jaxsched.train.same_data import DATA_KEY, require_same_data

_NAME = "snapshot"


class Snapshots:
    """The states of an experiment, one for each seed, at its first evaluation after some epochs.

    A snapshot is written once it is reached, and is not made again.

    Args:
        experiment: the experiment with the middle values, which may itself be one of the members.
        epochs: how many epochs to train before the snapshot.
        folder: the folder of the snapshots; another experiment or another number of epochs needs
            another folder.
    """

    def __init__(self, experiment: Experiment, epochs: float, folder: Path):
        self.experiment, self.epochs, self._folder = experiment, epochs, folder

    def is_made(self, seed: int) -> bool:
        """Returns whether the snapshot of this seed is on disk."""
        return self._path(seed).exists()

    def run_state(
        self,
        program: Program,
        seed: int,
        on_examples: Callable[[int], None] = lambda examples: None,
    ) -> RunState:
        """Returns the state that the members of this seed start from; trains up to it if need be.

        Args:
            program: the program of the family that the experiment belongs to.
            seed: the seed of the run.
            on_examples: is called with the number of examples trained on, if the state has to be
                reached first.

        Raises:
            ValueError: when the run diverges before its snapshot, or the snapshot was made with
                other data.
        """
        if not self.is_made(seed):
            self._make(program.member(self.experiment), seed, on_examples)
        snapshot = restore_named(self._path(seed), program.shapes)
        require_same_data(self._path(seed), snapshot.content, program.dataset)
        return RunState.of(snapshot, program)

    def _make(self, program: Program, seed: int, on_examples: Callable[[int], None]) -> None:
        def stop(rows: Sequence[Evaluation]) -> str:
            is_reached = bool(rows) and self._is_reached(rows[-1].examples, program.plan)
            return _NAME if is_reached else ""

        outcome = train(
            program, seed, on_evaluation=lambda row: None, on_examples=on_examples, stop=stop
        )
        if outcome.status == "diverged":
            raise ValueError(
                f"{self.experiment.name}, from which the others start, {outcome.reason}; give "
                "other values, or leave out from_snapshot."
            )
        last = outcome.rows[-1]
        reached = RunState(
            outcome.state,
            program.zero_sums(),
            outcome.plan,
            outcome.rows,
            last.train_seconds,
            last.evaluation_seconds,
        )
        content = {
            "experiment": describe(self.experiment),
            "seed": seed,
            DATA_KEY: program.dataset.fingerprint,
            **reached.content(last.step),
        }
        with Checkpoints(self._path(seed).parent) as checkpoints:
            checkpoints.save_named(_NAME, last.step, reached.arrays, content)

    def _is_reached(self, examples: int, plan: Plan) -> bool:
        return examples >= round(self.epochs * plan.num_examples)

    def _path(self, seed: int) -> Path:
        return self._folder / f"seed{seed}" / _NAME
