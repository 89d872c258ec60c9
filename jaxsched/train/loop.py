"""The loop of a run: which updates are dispatched when, and what happens at each evaluation.

At an evaluation mark the order is fixed: wait for the updates and read their sums, re-estimate the
average's batch-norm statistics, evaluate the weights and their average, hand over the row, let
plateau observe, save. The first two count as training time.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxsched.models import Variables
from jaxsched.plan import Plan
from jaxsched.train.checkpointing.policy import Saving
from jaxsched.train.checkpointing.run_state import RunState
from jaxsched.train.dispatch import DispatchSizer
from jaxsched.train.distributed.multihost import HostVotes, vote
from jaxsched.train.early_stopping import abel_stop_reason
from jaxsched.train.evaluation import Evaluation, Measured, make_row, num_averaged
from jaxsched.train.profiling import ProfiledUpdates
from jaxsched.train.program.program import Program
from jaxsched.train.step.batch_norm_stats import relative_error
from jaxsched.train.step.metrics import MetricSums
from jaxsched.train.step.state import TrainState


@dataclass(frozen=True)
class AverageOnAll:
    """The final average with statistics of all training examples, beside those of a part of them.

    Attributes:
        test_loss: with the statistics of all examples.
        test_accuracy: likewise.
        statistics_error: of the statistics that the last evaluation used, see `relative_error`.
    """

    test_loss: float
    test_accuracy: float
    statistics_error: float


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: "finished", "stopped" when its rule to stop early said so, or "diverged" when a
            loss was not finite.
        reason: in words, where it did not finish.
        state: the last state.
        rows: all evaluations.
        plan: what was trained; it is the experiment's unless its batch sizes are learned.
        average_on_all: for a run with averaging, unless it diverged.
    """

    status: Literal["finished", "stopped", "diverged"]
    reason: str
    state: TrainState
    rows: tuple[Evaluation, ...]
    plan: Plan
    average_on_all: AverageOnAll | None = None

    @property
    def images_per_second(self) -> float | None:
        """Trained on a second, compilation and evaluation apart; None before an evaluation."""
        return self.rows[-1].examples / self.rows[-1].train_seconds if self.rows else None


def train(
    program: Program,
    seed: int,
    *,
    on_evaluation: Callable[[Evaluation], None],
    on_examples: Callable[[int], None] = lambda examples: None,
    stop: Callable[[Sequence[Evaluation]], str] = lambda rows: "",
    start: RunState | None = None,
    saving: Saving | None = None,
    profile: ProfiledUpdates | None = None,
) -> Outcome:
    """Runs an experiment from its first update, or from where it was saved, to its last.

    The host runs ahead of the device by one dispatch and never waits for a single update.

    Args:
        program: the experiment, compiled.
        seed: of this run; the experiment's own is not looked at.
        on_evaluation: takes each row as soon as it is known.
        on_examples: takes the number of examples that the updates certainly done took, a few times
            a second.
        stop: says from the rows so far why to end the run here; "" to go on.
        start: where to go on from; the result is that of a run that was never interrupted.
        saving: saves the run on its way.
        profile: traces some updates.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.train import Program, train
        >>> experiment = Experiment(
        ...     name="tiny",
        ...     model=CifarResNet(depth=8, width=2),
        ...     data=Synthetic(num_train=64, num_test=32),
        ...     phases=(js.Phase(epochs=2, batch_size=16),),
        ...     optimizer=js.SGD(lr=0.05, momentum=0.9),
        ... )
        >>> rows = []
        >>> outcome = train(
        ...     Program(experiment, experiment.data.load()), seed=0, on_evaluation=rows.append
        ... )
        >>> outcome.status, [row.step for row in rows]
        ('finished', [4, 8])
    """
    run = _Run(program, seed, start or RunState.first(program, seed), on_examples, saving, profile)
    try:
        return _to_the_end(run, on_evaluation, stop)
    finally:
        program.stop_prefetch()


def _to_the_end(
    run: "_Run",
    on_evaluation: Callable[[Evaluation], None],
    stop: Callable[[Sequence[Evaluation]], str],
) -> Outcome:
    """From one evaluation to the next, until the last or until there is a reason to end."""
    abel = run.program.experiment.optimizer.abel
    while (mark := run.next_mark()) is not None:
        rows = run.position.rows
        if reason := stop(rows) or abel_stop_reason(rows, abel):
            return run.end("stopped", reason)
        sums = run.advance(mark)
        if not math.isfinite(sums.loss):
            reason = f"diverged at update {run.step - 1}: the training loss is not finite"
            return run.diverged(reason)
        row = run.evaluate(sums)
        if not math.isfinite(row.test_loss):
            reason = f"diverged at update {row.step - 1}: the test loss after it is not finite"
            return run.diverged(reason)
        on_evaluation(row)
        run.observe(row)
    return run.end("finished", "")


class _Run:
    """A run under way: its position, and the steps that move it on."""

    def __init__(
        self,
        program: Program,
        seed: int,
        start: RunState,
        on_examples: Callable[[int], None],
        saving: Saving | None,
        profile: ProfiledUpdates | None,
    ):
        self.program, self.seed, self.position = program, seed, start
        self.step, self._updates = start.step, 1
        self._on_examples, self._saving, self._sizer = on_examples, saving, DispatchSizer()
        self._profile = profile

    def next_mark(self) -> int | None:
        """The next update before which it is evaluated; None at the end."""
        steps = self.program.evaluation_steps(self.position.plan)
        return next((step for step in steps if step > self.step), None)

    def advance(self, mark: int) -> MetricSums:
        """Makes the updates up to `mark`, or to the first loss that is not finite; their sums."""
        plan = self.position.plan
        with self.program.room_for(plan, plan.batch_size_at(self.step)):
            return self._advance(mark)

    def _advance(self, mark: int) -> MetricSums:
        begin, seconds, before = time.perf_counter(), self.position.train_seconds, None
        plan = self.position.plan
        while self.step < mark:
            answer = self._ask()
            begin += self._await_compilation()
            self._dispatch(min(mark, self._next_stop()))
            if before is not None:
                # The device has the next dispatch already, so this wait costs it nothing.
                jax.block_until_ready(before.sums)
                self._sizer.done(before.step)
                self._on_examples(plan.examples_at(before.step))
            before, agreed = _Dispatched(self.step, self.position.sums), answer()
            self._updates = -agreed.fewer_updates
            # At the mark itself it is saved with the evaluation, so that none is made twice.
            if self._saving and self.step < mark and self._saving.is_due(self.step, plan, agreed):
                jax.block_until_ready(self.position.sums)
                seconds += time.perf_counter() - begin
                self._move(train_seconds=seconds)
                self._saving.save(self.step, self.position, agreed)
                self._sizer.pause()
                begin = time.perf_counter()  # saving is not training
        sums, step = jax.device_get((self.position.sums, self.position.state.step))
        self.step = int(step)
        self._move(train_seconds=seconds + time.perf_counter() - begin)
        self._sizer.pause()
        return sums

    def evaluate(self, sums: MetricSums) -> Evaluation:
        """The row of this mark, whose updates added up to `sums`."""
        program, position = self.program, self.position
        begin = time.perf_counter()
        average = self._average() if num_averaged(position.state.opt_state) else None
        jax.block_until_ready(average)
        middle = time.perf_counter()
        test = program.evaluate(position.state.variables)
        averaged = None if average is None else program.evaluate(average)
        norms = program.squared_norms(position.state)
        measured = jax.device_get(Measured(sums, test, averaged, norms))
        self._move(
            sums=program.zero_sums(),
            train_seconds=position.train_seconds + middle - begin,
            evaluation_seconds=position.evaluation_seconds + time.perf_counter() - middle,
        )
        return make_row(
            position.plan,
            position.state,
            measured,
            program.layer_names if program.experiment.weight_norms else None,
            seconds=(self.position.train_seconds, self.position.evaluation_seconds),
        )

    def observe(self, row: Evaluation) -> None:
        """Lets plateau see the row, keeps it, lets the batch grow, and saves where that is due."""
        plateau, state = self.program.experiment.optimizer.plateau, self.position.state
        if plateau is not None:
            value = np.float32(getattr(row, plateau.metric))
            observed = self.program.driver.replicate(value)
            state = dataclasses.replace(state, observed=observed)
        self._move(state=state, rows=(*self.position.rows, row))
        self._grow(row)
        agreed = self._ask()()
        if self._saving and self._saving.is_due_after(row, self.position.plan, agreed):
            self._saving.save(self.step, self.position, agreed)

    def _grow(self, row: Evaluation) -> None:
        """Goes on at a larger batch where the experiment's rule says so."""
        growth, plan = self.program.experiment.batch_growth, self.position.plan
        if growth is None or self.step >= plan.total_steps:
            return
        size = growth.next_size(
            self.program.batch_sizes,
            plan.batch_size_at(self.step),
            decay=row.decay,
            noise=math.nan if row.noise is None else row.noise["scale"],
        )
        if size != plan.batch_size_at(self.step):
            self.position = self.position.growing_to(size, self.step)

    def end(self, status: Literal["finished", "stopped"], reason: str) -> Outcome:
        """The outcome of a run that did not diverge."""
        if self._saving and self._saving.is_due_at_the_end():
            self._saving.save(self.step, self.position, self._ask()())
        position = self.position
        average = self._average_on_all()
        return Outcome(status, reason, position.state, position.rows, position.plan, average)

    def diverged(self, reason: str) -> Outcome:
        """The outcome of a run whose loss is not finite; nothing is saved of that."""
        position = self.position
        return Outcome("diverged", reason, position.state, position.rows, position.plan)

    def _average_on_all(self) -> AverageOnAll | None:
        """The last average, evaluated with the statistics of all training examples."""
        if not num_averaged(self.position.state.opt_state):
            return None
        some, whole = self._average(), self._average(self.program.plan.num_examples)
        test = jax.device_get(self.program.evaluate(whole))
        error = relative_error(some["batch_stats"], whole["batch_stats"])
        return AverageOnAll(test.mean_loss, test.accuracy, float(error))

    def _next_stop(self) -> int:
        """Where the updates from here on stop being alike, or something comes between them."""
        plan = self.position.plan
        saves = self._saving.stops(plan) if self._saving else ()
        traces = self._profile.stops if self._profile else ()
        stops = (stop for stop in (*saves, *traces) if stop > self.step)
        return min((plan.next_boundary(self.step), *stops))

    def _await_compilation(self) -> float:
        """Waits until the next updates are compiled; the seconds that the devices stood still."""
        size = self.position.plan.batch_size_at(self.step)
        if self.program.is_compiled(size):
            return 0.0
        jax.block_until_ready(self.position.sums)
        begin = time.perf_counter()
        self.program.wait_for(size)
        self._sizer.pause()
        return time.perf_counter() - begin

    def _dispatch(self, until: int) -> None:
        """Makes some of the updates up to `until`, without waiting for them."""
        count = min(self._updates, until - self.step)
        if self._profile is not None:
            self._profile.before(self.step, self.position.sums)
        state, sums = self.program.update(
            self.position.state,
            self.position.sums,
            seed=self.seed,
            step=self.step,
            count=count,
            plan=self.position.plan,
        )
        self.step += count
        self._move(state=state, sums=sums)
        if self._profile is not None:
            self._profile.after(self.step, sums)

    def _average(self, num_examples: int | None = None) -> Variables:
        """The average with statistics of the examples that come next, the experiment's number."""
        averaging = self.program.experiment.optimizer.averaging
        assert averaging is not None
        return self.program.recompute_batch_stats(
            self.program.averaged_params(self.position.state),
            seed=self.seed,
            step=self.step,
            num_examples=num_examples or averaging.statistics_examples,
            plan=self.position.plan,
        )

    def _ask(self) -> Callable[[], HostVotes]:
        """Asks all processes how to go on; all of them have to ask at the same update."""
        updates = self._sizer.updates
        votes = self._saving.votes(updates) if self._saving else HostVotes(-updates, 0, 0)
        return vote(self.program.driver, votes)

    def _move(self, **changes: Any) -> None:
        self.position = self.position._replace(**changes)


class _Dispatched(NamedTuple):
    """A dispatch that the device may still be at."""

    step: int
    sums: MetricSums
