"""The start of a run: its newest checkpoint, one of another run, or its first update."""

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
    """The user's choice of where a run starts, which is checked before anything compiles.

    Attributes:
        folder: the folder of this run's own checkpoints.
        resume: whether to resume from the newest of them.
        start_from: a checkpoint of another experiment's run to start from, when this run has no
            checkpoint to resume from.
    """

    folder: Path
    resume: bool = False
    start_from: Path | None = None

    def check(self, experiment: Experiment, plan: Plan, record: Path) -> None:
        """Refuses a choice that would overwrite checkpoints or has no fitting checkpoint.

        Args:
            experiment: the experiment to run.
            plan: the experiment's plan.
            record: the path of the run's record; other runs have theirs in the same folder.

        Raises:
            FileNotFoundError: when `start_from` is no checkpoint.
            ValueError: when checkpoints would be overwritten, when there is none to resume from, or
                when `start_from` does not fit; the message says what to do instead.
        """
        has_checkpoints = bool(saved_steps(self.folder))
        if not self.resume and has_checkpoints:
            raise ValueError(
                f"{self.folder} holds checkpoints of this very run; go on from them with --resume, "
                "or move the folder away to start from the first update."
            )
        if self.resume and not has_checkpoints and self.start_from is None:
            raise ValueError(
                f"--resume needs a checkpoint of this very run, got none in {self.folder}."
                f"{_nearest(experiment, record)}"
            )
        if self.start_from is not None:
            step, content = read_content(self.start_from)
            _require_same_examples(plan_so_far(experiment, plan, content), step, content)

    def first_step(self) -> int:
        """Returns the update that the run starts at, if its newest checkpoint can be read."""
        own = saved_steps(self.folder) if self.resume else ()
        if own or self.start_from is None:
            return max(own, default=0)
        return read_content(self.start_from)[0]

    def load(self, checkpoints: Checkpoints | None, program: Program) -> RunState | None:
        """Reads the state that the run starts from; returns None to start at the first update.

        The main process reads the checkpoint and sends it to the others.

        Args:
            checkpoints: this run's own checkpoints; None on all processes but the main one.
            program: the compiled experiment.

        Raises:
            ValueError: when the checkpoint's arrays are not those of the experiment.
        """
        first = RunState.first(program, seed=0)  # for its shapes alone
        snapshot = broadcast_from_main(
            program.driver, lambda: self._snapshot(checkpoints, first.arrays)
        )
        return None if snapshot is None else RunState.of(snapshot, program)

    def _snapshot(self, checkpoints: Checkpoints | None, like: Any) -> Snapshot | None:
        snapshot = checkpoints.restore(like) if checkpoints and self.resume else None
        if snapshot is None and self.start_from is not None:
            return restore_named(self.start_from, like)
        return snapshot


def _nearest(experiment: Experiment, record: Path) -> str:
    """Names the most similar run in the record's folder and its differences; "" without one."""
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


def _require_same_examples(plan: Plan, step: int, content: Mapping[str, Any]) -> None:
    """Raises a ValueError unless the plan's updates up to `step` take as many examples as saved."""
    ours = (plan.examples_at(step), plan.num_examples)
    theirs = (content["examples"], content["num_examples"])
    if ours != theirs or step >= plan.total_steps:
        raise ValueError(
            f"the checkpoint was made after {step} updates and {theirs[0]} examples of a set of "
            f"{theirs[1]}; this experiment has {plan.total_steps} updates in all and needs "
            f"{ours[0]} examples of {ours[1]} for those. Keep the phases up to that update as they "
            "were, and add epochs after it."
        )
