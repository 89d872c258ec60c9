"""Runs members family by family, one after another or several at once, and records them."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxsched.experiment import describe
from jaxsched.tracking import (
    Progress,
    RecordWriter,
    RunProgress,
    load,
    peak_memory,
    plan_for,
    read_records,
    record_header,
    record_path,
    record_run,
)
from jaxsched.train import Evaluation, Member, RunState
from jaxsched.train.population.strategy import StrategyChoice
from jaxsched.train.program.shared_program import program_signature
from jaxsched.train.same_data import require_same_data
from jaxsched.tune.execution.lockstep import LockstepRuns
from jaxsched.tune.execution.snapshots import Snapshots
from jaxsched.tune.execution.strategy import Execution, prepare


class Runner:
    """Makes the runs of members that have no finished record yet.

    Args:
        folder: the folder of the records.
        source_text: the text of the config file.
        progress: shows the progress.
        choice: how the members share the devices, see `prepare`.
        check: is called about once a second. An exception from it ends the runs, and a later call
            with the same members goes on.
        snapshots: the states that the members start from; None starts each from its initial
            weights.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source_text: str,
        progress: Progress,
        choice: StrategyChoice = "auto",
        check: Callable[[], None] = lambda: None,
        snapshots: Snapshots | None = None,
    ):
        self._folder, self._source_text, self._progress = folder, source_text, progress
        self._choice: StrategyChoice = choice
        self._check, self._snapshots = check, snapshots

    def path(self, member: Member) -> Path:
        """Returns the path of a member's record."""
        return record_path(self._folder, member.experiment, member.seed)

    def run(self, members: Sequence[Member]) -> None:
        """Makes the runs that are missing.

        A run whose record cannot be read is not made, so that nothing of its file is lost; the
        reason is shown.

        Raises:
            BlockingIOError: when another process makes one of the runs.
            ValueError: when the members cannot run by the chosen strategy, or runs were made with
                other data.
        """
        missing = [member for member in members if self._is_missing(member)]
        plans = [plan_for(member.experiment) for member in missing]
        self._progress.start(sum(plan.examples_at(plan.total_steps) for plan in plans))
        for family in sorted(families(missing), key=self._differs_from_snapshot):
            self._run_family(family)

    def _is_missing(self, member: Member) -> bool:
        path = self.path(member)
        records, unreadable = read_records([path])
        for reason in unreadable:
            self._progress.say(reason)
        finished = [record for record in records if record.is_complete]
        for record in finished:
            require_same_data(path, record.header, load(member.experiment.task.data))
        return not finished and not unreadable

    def _differs_from_snapshot(self, members: Sequence[Member]) -> bool:
        """Whether these members cannot share a program with the run up to the snapshot.

        The family that can comes first, because its program makes the snapshot for the others.
        """
        if self._snapshots is None:
            return False
        return len(families([members[0], Member(self._snapshots.experiment, 0)])) > 1

    def _run_family(self, members: Sequence[Member]) -> None:
        names = list(dict.fromkeys(member.experiment.name for member in members))
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self._progress.show(f"{names[0]}{others}: compiling")
        dataset = load(members[0].experiment.task.data)
        execution = prepare([*members, *self._middle_member(members)], dataset, self._choice)
        for group in self._groups(members, execution.size):
            start = self._start_state(execution, group[0])
            label = ", ".join(f"{m.experiment.name} seed {m.seed}" for m in group[:2])
            more = f" and {len(group) - 2} more at once" if len(group) > 2 else ""
            shown = self._progress.run(f"{label}{more}", group[0].experiment.task.main_metric)
            if execution.population is None:
                self._run_alone(execution, group[0], start, shown)
            else:
                self._run_at_once(execution, group, start, shown)

    def _middle_member(self, members: Sequence[Member]) -> list[Member]:
        """A member with the optimizer of the snapshot's run, unless it is among them already.

        Compiled together with it, the members have the same structure of optimizer state as the
        snapshot: a constant weight decay of 0 in all members would leave out the link for it.
        """
        if self._snapshots is None:
            return []
        experiment, seed = members[0]
        optimizer = self._snapshots.experiment.optimizer
        middle = Member(dataclasses.replace(experiment, optimizer=optimizer), seed)
        return [] if middle in members else [middle]

    def _groups(self, members: Sequence[Member], size: int) -> list[list[Member]]:
        """The members that run at once; from a snapshot, those of one seed, which share a state."""
        seeds = dict.fromkeys(member.seed for member in members)
        parts = [[m for m in members if m.seed == seed] for seed in seeds]
        if self._snapshots is None:
            parts = [list(members)]
        return [part[i : i + size] for part in parts for i in range(0, len(part), size)]

    def _start_state(self, execution: Execution, member: Member) -> RunState | None:
        if self._snapshots is None:
            return None
        if not self._snapshots.is_made(member.seed):
            self._progress.show(f"{self._snapshots.experiment.name} up to the snapshot")
        return self._snapshots.run_state(
            execution.program, member.seed, on_examples=lambda examples: self._check()
        )

    def _run_alone(
        self, execution: Execution, member: Member, start: RunState | None, shown: RunProgress
    ) -> None:
        program = execution.program.member(member.experiment)

        def on_evaluation(row: Evaluation) -> None:
            shown.evaluation(row)
            self._check()

        outcome = record_run(
            program,
            member.seed,
            self.path(member),
            source_text=self._source_text,
            on_evaluation=on_evaluation,
            on_examples=self._checking(shown.done),
            start=start,
        )
        plan = program.plan
        shown.end(plan.examples_at(plan.total_steps), outcome.reason)

    def _run_at_once(
        self,
        execution: Execution,
        members: Sequence[Member],
        start: RunState | None,
        shown: RunProgress,
    ) -> None:
        program, population = execution.program, execution.population
        assert population is not None
        runs = LockstepRuns(population, members, program.evaluation_steps(population.plan), start)
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(
                    RecordWriter(self.path(member), self._header(execution, member, start))
                )
                for member in members
            ]
            for writer in writers:
                for row in start.rows if start else ():
                    writer.evaluation(row.as_json())
            for rows in runs.rows(self._checking(shown.done)):
                for number, row in rows.items():
                    writers[number].evaluation(row.as_json())
                self._check()
            for number, writer in enumerate(writers):
                writer.end(**_end(execution, runs, number))
        reasons = [f"{members[n].experiment.name} {why}" for n, why in runs.diverged.items()]
        examples = population.plan.examples_at(population.plan.total_steps)
        shown.end(examples * len(members), "; ".join(reasons))

    def _header(
        self, execution: Execution, member: Member, start: RunState | None
    ) -> dict[str, Any]:
        """The record's header, with the strategy by which the run shared its devices."""
        header = record_header(
            member.experiment,
            member.seed,
            load(member.experiment.task.data),
            source_text=self._source_text,
            compile_seconds=execution.compile_seconds,
            num_devices=execution.num_devices,
        )
        return {
            **header,
            "initial_layers": None,
            "resumed_at": start.step if start else None,
            "at_once": {
                "way": execution.strategy,
                "size": execution.size,
                "seconds": execution.seconds,
            },
        }

    def _checking(self, on_examples: Callable[[int], None]) -> Callable[[int], None]:
        """Adds the check to a callback."""

        def call_and_check(examples: int) -> None:
            on_examples(examples)
            self._check()

        return call_and_check


def _end(execution: Execution, runs: LockstepRuns, number: int) -> dict[str, Any]:
    """The last line of the record of a member that ran beside others."""
    reason, last = runs.diverged.get(number, ""), runs.last_rows.get(number)
    return {
        "status": "diverged" if reason else "finished",
        "reason": reason,
        "phases": describe(execution.program.plan.phases),
        "average_on_all": None,
        "compilations": [],
        "images_per_second": last.examples / last.train_seconds if last else None,
        "peak_memory": peak_memory(execution.program),
    }


def families(members: Sequence[Member]) -> list[list[Member]]:
    """Groups the members by the program that can run them, in order of first appearance.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, with_value
        >>> from jaxsched.tasks import ImageClassification
        >>> from jaxsched.train import Member
        >>> from jaxsched.tune.execution.runner import families
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=10, batch_size=250),),
        ...     optimizer=js.SGD(js.OneCycle(0.5, duration="100%"), momentum=0.9),
        ... )
        >>> decays = [with_value(experiment, "weight_decay", value) for value in (0.0, 1e-4)]
        >>> sizes = [with_value(experiment, "batch_size", size) for size in (64, 128)]
        >>> [len(family) for family in families([Member(e, 0) for e in (*decays, *sizes)])]
        [2, 1, 1]
    """
    found: dict[tuple[Any, str], list[Member]] = {}
    for member in members:
        experiment = member.experiment
        key = experiment.task.data, program_signature(experiment, plan_for(experiment))
        found.setdefault(key, []).append(member)
    return list(found.values())
