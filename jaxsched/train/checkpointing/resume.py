"""The start of a run: its newest checkpoint, one of another run, or its first update."""

import contextlib
import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.data import Dataset
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
from jaxsched.train.checkpointing.orbax_io import DamagedError, saved_steps
from jaxsched.train.checkpointing.plan_so_far import plan_so_far
from jaxsched.train.checkpointing.run_state import RunState
from jaxsched.train.distributed.multihost import broadcast_from_main
from jaxsched.train.program.program import Program
from jaxsched.train.same_data import DATA_KEY, data_changes, require_same_data


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

    def check(self, experiment: Experiment, plan: Plan, record: Path, dataset: Dataset) -> str:
        """Refuses a choice that would overwrite checkpoints or has no fitting checkpoint.

        Args:
            experiment: the experiment to run.
            plan: the experiment's plan.
            record: the path of the run's record; other runs have theirs in the same folder.
            dataset: the experiment's data set.

        Returns:
            What the user has to know of the start, in words; "" if there is nothing to say.

        Raises:
            FileNotFoundError: when `start_from` is no checkpoint.
            ValueError: when checkpoints would be overwritten, when they were made with other data,
                or when `start_from` does not fit; the message says what to do instead.
        """
        has_checkpoints = bool(saved_steps(self.folder))
        if not self.resume and has_checkpoints:
            raise ValueError(
                f"{self.folder} holds checkpoints of this very run; go on from them with --resume, "
                "or set them aside with --overwrite to start from the first update."
            )
        if has_checkpoints:
            return _note_on_data(self.folder, dataset)
        if self.start_from is not None:
            step, content = read_content(self.start_from)
            _require_same_examples(plan_so_far(experiment, plan, content), step, content)
            # Another experiment may have other data, which the user should know.
            changes = data_changes(content, dataset)
            return f"{self.start_from} was made with other data: {changes}." if changes else ""
        if not self.resume:
            return ""
        # A job may be stopped before its first checkpoint, and its command is then given again.
        return (
            f"nothing of this very run is saved in {self.folder}, so it starts at the first update."
            f"{_nearest(experiment, record)}"
        )

    def goes_on(self) -> bool:
        """Returns whether there is a checkpoint to start from."""
        return self.start_from is not None or (self.resume and bool(saved_steps(self.folder)))

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
            ValueError: when the checkpoint's arrays are not those of the experiment, or it was made
                with other data.
        """
        snapshot = broadcast_from_main(
            program.driver, lambda: self._snapshot(checkpoints, program.shapes, program.dataset)
        )
        return None if snapshot is None else RunState.of(snapshot, program)

    def _snapshot(
        self, checkpoints: Checkpoints | None, like: Any, dataset: Dataset
    ) -> Snapshot | None:
        snapshot = checkpoints.restore(like) if checkpoints and self.resume else None
        if snapshot is not None:
            require_same_data(self.folder / str(snapshot.step), snapshot.content, dataset)
        if snapshot is None and self.start_from is not None:
            return restore_named(self.start_from, like)
        return snapshot


def newest_content(folder: Path) -> Mapping[str, Any] | None:
    """Returns the JSON of the newest checkpoint whose JSON can be read; None if there is none."""
    for step in reversed(saved_steps(folder)):
        with contextlib.suppress(DamagedError):
            return read_content(folder / str(step))[1]
    return None


def _note_on_data(folder: Path, dataset: Dataset) -> str:
    """Raises a ValueError if the data have changed; says so if that cannot be known."""
    content = newest_content(folder)
    if content is None:
        return ""  # all are damaged, which `load` says
    require_same_data(folder, content, dataset)
    if DATA_KEY in content:
        return ""
    return f"{folder} was saved before runs recorded their data, which are therefore not compared."


def _nearest(experiment: Experiment, record: Path) -> str:
    """Names the most similar other run in the record's folder and its differences, if any."""
    found = []
    for other in record.parent.glob(f"{glob.escape(experiment.name)}-*.jsonl"):
        config = _config(other)
        changes = list(differences(config, describe(experiment)))
        # This run's own record, of an attempt that was cut off, differs in nothing.
        if config and changes and other.with_suffix("").is_dir():
            found.append((changes, other))
    if not found:
        return ""
    changes, other = min(found, key=lambda pair: len(pair[0]))
    return (
        f" The nearest run, {other.stem}, differs in: {'; '.join(changes)}. To go on from it all "
        f"the same, name its checkpoint: --start-from {other.with_suffix('')}/STEP."
    )


def _config(record: Path) -> Any:
    """Returns the experiment in a record's header; None if the record is torn."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with record.open(encoding="utf-8-sig") as lines:
            header = json.loads(lines.readline())
        if isinstance(header, dict):
            return header.get("config")
    return None


def _require_same_examples(plan: Plan, step: int, content: Mapping[str, Any]) -> None:
    """Raises a ValueError unless the plan's updates up to `step` take as many examples as saved."""
    ours = (plan.examples_at(step), plan.num_examples)
    last = content["rows"][-1] if content["rows"] else {}
    # Snapshots of grids once had nothing but their rows, of which the last is of this update.
    theirs = (
        content.get("examples", last.get("examples")),
        content.get("num_examples", round(last["examples"] / last["epoch"]) if last else None),
    )
    if ours != theirs or step >= plan.total_steps:
        raise ValueError(
            f"the checkpoint was made after {step} updates and {theirs[0]} examples of a set of "
            f"{theirs[1]}; this experiment has {plan.total_steps} updates in all and needs "
            f"{ours[0]} examples of {ours[1]} for those. Keep the phases up to that update as they "
            "were, and add epochs after it."
        )
