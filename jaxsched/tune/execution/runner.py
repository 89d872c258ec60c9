"""Members run and put on record, family by family: one after another, or several at once."""

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
    read_record,
    record_header,
    record_path,
    record_run,
)
from jaxsched.train import Evaluation, Member, RunState
from jaxsched.train.program.shared_program import program_signature
from jaxsched.tune.execution.lockstep import SideBySide
from jaxsched.tune.execution.snapshots import Snapshots
from jaxsched.tune.execution.strategy import Execution, StrategyChoice, prepare


class Runner:
    """What makes the runs of members that no finished record covers yet.

    Args:
        folder: of the records.
        source_text: of the config file.
        progress: what shows how far it is.
        choice: how many members run at once, see `prepare`.
        check: is called about once a second; what it raises ends the runs, and a later call with
            the same members goes on.
        snapshots: what the members go on from; their first weights if None.
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
        """Of its record."""
        return record_path(self._folder, member.experiment, member.seed)

    def run(self, members: Sequence[Member]) -> None:
        """Makes the runs that are missing.

        Raises:
            ValueError: when the chosen way cannot run them.
        """
        missing = [member for member in members if not self._is_done(member)]
        plans = [plan_for(member.experiment) for member in missing]
        self._progress.start(sum(plan.examples_at(plan.total_steps) for plan in plans))
        for family in sorted(families(missing), key=self._is_another_family):
            self._run_family(family)

    def _is_done(self, member: Member) -> bool:
        path = self.path(member)
        return path.exists() and read_record(path).is_complete

    def _is_another_family(self, members: Sequence[Member]) -> bool:
        """Than that of the run up to the snapshot, which has to be made first."""
        if self._snapshots is None:
            return False
        return len(families([members[0], Member(self._snapshots.experiment, 0)])) > 1

    def _run_family(self, members: Sequence[Member]) -> None:
        names = list(dict.fromkeys(member.experiment.name for member in members))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self._progress.show(f"{names[0]}{more}: compiling")
        dataset = load(members[0].experiment.data)
        at_once = prepare([*members, *self._middle(members)], dataset, self._choice)
        for group in self._groups(members, at_once.size):
            start = self._start(at_once, group[0])
            label = ", ".join(f"{m.experiment.name} seed {m.seed}" for m in group[:2])
            rest = f" and {len(group) - 2} more at once" if len(group) > 2 else ""
            shown = self._progress.run(f"{label}{rest}")
            if at_once.cohort is None:
                self._run_alone(at_once, group[0], start, shown)
            else:
                self._run_at_once(at_once, group, start, shown)

    def _middle(self, members: Sequence[Member]) -> list[Member]:
        """One with the optimizer of the run that the others go on from.

        Beside it they have all that its state has: alone, a weight decay of 0 has no link.
        """
        if self._snapshots is None:
            return []
        experiment, seed = members[0]
        optimizer = self._snapshots.experiment.optimizer
        middle = Member(dataclasses.replace(experiment, optimizer=optimizer), seed)
        return [] if middle in members else [middle]

    def _groups(self, members: Sequence[Member], size: int) -> list[list[Member]]:
        """Those that run at once; from a snapshot, of one seed."""
        seeds = dict.fromkeys(member.seed for member in members)
        parts = [[m for m in members if m.seed == seed] for seed in seeds]
        if self._snapshots is None:
            parts = [list(members)]
        return [part[i : i + size] for part in parts for i in range(0, len(part), size)]

    def _start(self, at_once: Execution, member: Member) -> RunState | None:
        if self._snapshots is None:
            return None
        if not self._snapshots.is_made(member.seed):
            self._progress.show(f"{self._snapshots.experiment.name} up to the snapshot")
        return self._snapshots.position(
            at_once.program, member.seed, on_examples=lambda examples: self._check()
        )

    def _run_alone(
        self, at_once: Execution, member: Member, start: RunState | None, shown: RunProgress
    ) -> None:
        program = at_once.program.member(member.experiment)

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
        at_once: Execution,
        members: Sequence[Member],
        start: RunState | None,
        shown: RunProgress,
    ) -> None:
        program, cohort = at_once.program, at_once.cohort
        assert cohort is not None
        runs = SideBySide(cohort, members, program.evaluation_steps(cohort.plan), start)
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(
                    RecordWriter(self.path(member), self._header(at_once, member, start))
                )
                for member in members
            ]
            for writer in writers:
                for row in start.rows if start else ():
                    writer.evaluation(describe(row))
            for rows in runs.rows(self._checking(shown.done)):
                for number, row in rows.items():
                    writers[number].evaluation(describe(row))
                self._check()
            for number, writer in enumerate(writers):
                writer.end(**_end(at_once, runs, number))
        reasons = [f"{members[n].experiment.name} {why}" for n, why in runs.diverged.items()]
        examples = cohort.plan.examples_at(cohort.plan.total_steps)
        shown.end(examples * len(members), "; ".join(reasons))

    def _header(self, at_once: Execution, member: Member, start: RunState | None) -> dict[str, Any]:
        """As of a run by itself, and in which way it was not by itself."""
        header = record_header(
            member.experiment,
            member.seed,
            load(member.experiment.data),
            source_text=self._source_text,
            compile_seconds=at_once.compile_seconds,
            num_devices=at_once.num_devices,
        )
        return {
            **header,
            "initial_layers": None,
            "resumed_at": start.step if start else None,
            "at_once": {"way": at_once.way, "size": at_once.size, "seconds": at_once.seconds},
        }

    def _checking(self, on_examples: Callable[[int], None]) -> Callable[[int], None]:
        """The same, and a check each time."""

        def both(examples: int) -> None:
            on_examples(examples)
            self._check()

        return both


def _end(at_once: Execution, runs: SideBySide, number: int) -> dict[str, Any]:
    """The last line of the record of a member that ran beside others."""
    reason, last = runs.diverged.get(number, ""), runs.last_rows.get(number)
    return {
        "status": "diverged" if reason else "finished",
        "reason": reason,
        "phases": describe(at_once.program.plan.phases),
        "average_on_all": None,
        "compilations": [],
        "images_per_second": last.examples / last.train_seconds if last else None,
        "peak_memory": peak_memory(at_once.program),
    }


def families(members: Sequence[Member]) -> list[list[Member]]:
    """The members, grouped by the program that can run them; in order of first appearance.

    Example:
        >>> import dataclasses, jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.train import Member
        >>> from jaxsched.tune import families
        >>> from jaxsched.experiment import with_value
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     model=R9,
        ...     data=Synthetic(),
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
        kind = experiment.data, program_signature(experiment, plan_for(experiment))
        found.setdefault(kind, []).append(member)
    return list(found.values())
