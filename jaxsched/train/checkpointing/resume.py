"""Where a run goes on from: its own last checkpoint, that of another run, or its beginning."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.experiment.diff import differences
from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.serialize import describe
from jaxsched.plan import Plan
from jaxsched.train.checkpointing.checkpoints import (
    Checkpoints,
    Snapshot,
    read_content,
    restore_named,
)
from jaxsched.train.checkpointing.orbax_io import saved_steps
from jaxsched.train.checkpointing.run_state import RunState, plan_so_far
from jaxsched.train.distributed.multihost import broadcast_from_main
from jaxsched.train.program.program import Program


@dataclass(frozen=True)
class ResumeOptions:
    """The user's choice of where a run starts, checked before anything compiles.

    Attributes:
        folder: of this very run's checkpoints.
        resume: go on from the newest of them.
        start_from: else go on from this one, of a run of another experiment.
    """

    folder: Path
    resume: bool = False
    start_from: Path | None = None

    def check(self, experiment: Experiment, plan: Plan, record: Path) -> None:
        """Refuses a choice that would lose a checkpoint, or whose checkpoint is none or another's.

        Args:
            experiment: to be run.
            plan: of the experiment.
            record: of its run; those of others lie beside it.

        Raises:
            FileNotFoundError: when there is nothing to start from.
            ValueError: with what to do instead.
        """
        has_checkpoints = bool(saved_steps(self.folder))
        if not self.resume and has_checkpoints:
            raise ValueError(
                f"{self.folder} holds checkpoints of this very run; go on from them with --resume, "
                "or move the folder away to start anew."
            )
        if self.resume and not has_checkpoints and self.start_from is None:
            raise ValueError(
                f"--resume needs a checkpoint of this very run, got none in {self.folder}."
                f"{_nearest(experiment, record)}"
            )
        if self.start_from is not None:
            step, content = read_content(self.start_from)
            _require_same_clock(plan_so_far(experiment, plan, content), step, content)

    def position(self, checkpoints: Checkpoints | None, program: Program) -> RunState | None:
        """Where the run starts; None for its beginning.

        The main process reads the checkpoint and gives it to the others.

        Args:
            checkpoints: of this very run; None on other processes than the main one.
            program: the experiment, compiled.

        Raises:
            ValueError: when the checkpoint's arrays are not the experiment's.
        """
        first = RunState.first(program, seed=0)  # for the shapes: a checkpoint has to have them
        snapshot = broadcast_from_main(
            program.driver, lambda: self._snapshot(checkpoints, first.arrays)
        )
        return None if snapshot is None else RunState.of(snapshot, program)

    def _snapshot(self, checkpoints: Checkpoints | None, like: Any) -> Snapshot | None:
        found = checkpoints.restore(like) if checkpoints and self.resume else None
        if found is None and self.start_from is not None:
            return restore_named(self.start_from, like)
        return found


def _nearest(experiment: Experiment, record: Path) -> str:
    """What sets the most similar run in the folder apart; nothing where there is none."""
    found = []
    for other in record.parent.glob(f"{experiment.name}-*.jsonl"):
        first_line = other.read_text(encoding="utf-8").partition("\n")[0]
        config = json.loads(first_line)["config"] if first_line else {}
        found.append((list(differences(config, describe(experiment))), other))
    if not found:
        return ""
    changes, other = min(found, key=lambda pair: len(pair[0]))
    return (
        f" The nearest run, {other.stem}, differs in: {'; '.join(changes)}. To go on from it all "
        f"the same, name its checkpoint: --start-from {other.with_suffix('')}/STEP."
    )


def _require_same_clock(plan: Plan, step: int, content: Mapping[str, Any]) -> None:
    """Refuses a checkpoint whose updates took other examples than this experiment's plan says."""
    ours = (plan.examples_at(step), plan.num_examples)
    theirs = (content["examples"], content["num_examples"])
    if ours != theirs or step >= plan.total_steps:
        raise ValueError(
            f"the checkpoint was made after {step} updates and {theirs[0]} examples of a set of "
            f"{theirs[1]}; this experiment has {plan.total_steps} updates and needs {ours[0]} "
            f"examples of {ours[1]} for those. Keep the phases up to there as they were, and give "
            "more epochs after them."
        )
