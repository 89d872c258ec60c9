"""The training loop: updates in dispatches, and a fixed order of operations at each evaluation."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxsched.models import Variables
from jaxsched.plan import Plan
from jaxsched.train.checkpointing.policy import CheckpointPolicy
from jaxsched.train.checkpointing.run_state import RunState
from jaxsched.train.dispatch import DispatchSizer
from jaxsched.train.distributed.multihost import HostVotes, vote
from jaxsched.train.early_stopping import abel_stop_reason
from jaxsched.train.evaluation import Evaluation, Measured, make_row
from jaxsched.train.profiling import ProfiledUpdates
from jaxsched.train.program.program import Program
from jaxsched.train.step.batch_norm_stats import relative_error
from jaxsched.train.step.state import TrainState
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.transforms import num_averaged


@dataclass(frozen=True)
class AverageOnAll:
    """The final average, evaluated with batch-norm statistics of all training examples.

    Evaluations during the run use the statistics of a part of the examples.

    Attributes:
        metrics: the task's metrics with the statistics of all examples, such as `test_loss`.
        statistics_error: the error of the statistics of a part, see `relative_error`.
        variables: the average with the statistics of all examples.
    """

    metrics: Mapping[str, float]
    statistics_error: float
    variables: Variables = field(repr=False)

    def as_json(self) -> dict[str, float]:
        """Returns the entry of a record, in which the metrics stand beside the error."""
        return {**self.metrics, "statistics_error": self.statistics_error}


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes:
        status: "finished", "stopped" when a rule for early stopping ended it, or "diverged" when a
            loss was not finite.
        reason: why it did not finish, in words; "" if it did.
        state: the last state.
        rows: all evaluations.
        plan: the plan that was trained. It is the experiment's unless batch sizes are learned.
        average_on_all: the final average on all examples; None without averaging and for a run
            that diverged.
    """

    status: Literal["finished", "stopped", "diverged"]
    reason: str
    state: TrainState = field(repr=False)  # a repr of all weights would fill the terminal
    rows: tuple[Evaluation, ...]
    plan: Plan
    average_on_all: AverageOnAll | None = None

    @property
    def examples_per_second(self) -> float | None:
        """Training examples per second of training time; None before the first evaluation."""
        return self.rows[-1].examples / self.rows[-1].train_seconds if self.rows else None


def train(
    program: Program,
    seed: int,
    *,
    on_evaluation: Callable[[Evaluation], None],
    on_examples: Callable[[int], None] = lambda examples: None,
    stop: Callable[[Sequence[Evaluation]], str] = lambda rows: "",
    start: RunState | None = None,
    checkpoint_policy: CheckpointPolicy | None = None,
    profile: ProfiledUpdates | None = None,
) -> Outcome:
    """Runs an experiment from its first update, or from a saved state, to its last.

    The host runs ahead of the device by one dispatch and never waits for a single update.

    Args:
        program: the compiled experiment.
        seed: the run's seed; the seed in the experiment is not used.
        on_evaluation: called with each row as soon as it is measured.
        on_examples: called about once a second with the number of examples trained on so far. It
            counts only updates that the device has certainly finished.
        stop: returns, from the rows so far, why to end the run here; "" to continue.
        start: the state to continue from. The result is that of a run that was never interrupted.
        checkpoint_policy: saves the run on its way; None never saves it.
        profile: traces some updates.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import ResNet
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tasks import ImageClassification
        >>> from jaxsched.train import Program, train
        >>> experiment = Experiment(
        ...     name="tiny",
        ...     task=ImageClassification(
        ...         model=ResNet(stages=(1,), width=2),
        ...         data=Synthetic(num_train=64, num_test=32),
        ...     ),
        ...     phases=(js.Phase(epochs=2, batch_size=16),),
        ...     optimizer=js.SGD(lr=0.05, momentum=0.9),
        ... )
        >>> rows = []
        >>> outcome = train(
        ...     Program(experiment, experiment.task.data.load()), seed=0, on_evaluation=rows.append
        ... )
        >>> outcome.status, [row.step for row in rows]
        ('finished', [4, 8])
    """
    start = start or RunState.first(program, seed)
    run = _Run(program, seed, start, on_examples, checkpoint_policy, profile)
    try:
        return _run_to_end(run, on_evaluation, stop)
    finally:
        program.stop_prefetch()


def _run_to_end(
    run: "_Run",
    on_evaluation: Callable[[Evaluation], None],
    stop: Callable[[Sequence[Evaluation]], str],
) -> Outcome:
    """The loop, one round for each evaluation.

    The order of operations is fixed. Because it is the same in every run, rows of different runs
    can be compared, and a resumed run equals one that was never interrupted.
    """
    experiment = run.program.experiment
    abel, metric = experiment.optimizer.abel, experiment.task.main_metric
    while (mark := run.next_evaluation()) is not None:
        rows = run.run_state.rows
        if reason := stop(rows) or abel_stop_reason(rows, abel, metric):
            return run.end("stopped", reason)

        # Training time. Re-estimating the batch-norm statistics of the average counts as training,
        # because an average is of no use without it.
        sums = run.update_until(mark)
        if not math.isfinite(sums.metrics.loss):
            reason = f"diverged at update {run.step - 1}: the training loss is not finite"
            return run.diverged(reason)
        average = run.average_with_batch_stats()

        # Evaluation time.
        row = run.evaluate(sums, average)
        if not math.isfinite(row.test_loss):
            reason = f"diverged at update {row.step - 1}: the test loss after it is not finite"
            return run.diverged(reason)

        # Neither. Saving comes last, so that a resumed run has nothing of this to repeat.
        run.observe(row)
        on_evaluation(row)  # appends it to the record and shows it
        run.grow_batch(row)
        run.save_after(row)
    return run.end("finished", "")


class _Run:
    """A run in progress: its state, and the operations of the loop."""

    def __init__(
        self,
        program: Program,
        seed: int,
        start: RunState,
        on_examples: Callable[[int], None],
        checkpoint_policy: CheckpointPolicy | None,
        profile: ProfiledUpdates | None,
    ):
        self.program, self.seed, self.run_state = program, seed, start
        # `step` counts what is dispatched: reading it from the device would wait for it.
        self.step, self._updates = start.step, 1
        self._on_examples, self._policy, self._profile = on_examples, checkpoint_policy, profile
        self._sizer = DispatchSizer()

    def next_evaluation(self) -> int | None:
        """The number of updates after which the next evaluation comes; None after the last."""
        steps = self.program.evaluation_steps(self.run_state.plan)
        return next((step for step in steps if step > self.step), None)

    def update_until(self, mark: int) -> UpdateSums:
        """Makes the updates up to `mark`, or to the first loss that is not finite.

        Returns:
            Their sums, on the host.
        """
        plan, policy, previous = self.run_state.plan, self._policy, None
        begin, seconds = time.perf_counter(), self.run_state.train_seconds
        with self.program.room_for(plan, plan.batch_size_at(self.step)):
            while self.step < mark:
                # Asked before the dispatch and read after it: the answer is computed on the
                # devices, in front of the updates, so that reading it does not wait for these.
                answer = self._ask()
                begin += self._await_compilation()  # this is not training time
                self._dispatch(min(mark, self._next_stop()))
                if previous is not None:
                    # The device has the next dispatch already, so this wait costs it nothing.
                    jax.block_until_ready(previous.sums)
                    self._sizer.done(previous.step)
                    self._on_examples(plan.examples_at(previous.step))
                previous, agreed = _Dispatched(self.step, self.run_state.sums), answer()
                self._updates = -agreed.fewer_updates
                # At the mark itself the run is saved after its evaluation, so that a resumed run
                # need not evaluate again.
                if self.step < mark and policy and policy.is_due(self.step, plan, agreed):
                    jax.block_until_ready(self.run_state.sums)
                    seconds += time.perf_counter() - begin
                    self._change(train_seconds=seconds)
                    policy.save(self.step, self.run_state, agreed)
                    self._sizer.pause()
                    begin = time.perf_counter()  # saving is not training time
            # After a loss that is not finite the device makes no more updates, so it alone knows
            # the step.
            sums, step = jax.device_get((self.run_state.sums, self.run_state.state.step))
        self.step = int(step)
        self._change(train_seconds=seconds + time.perf_counter() - begin)
        self._sizer.pause()
        return sums

    def average_with_batch_stats(self) -> Variables | None:
        """The average of the weights with batch-norm statistics of its own; None without one."""
        begin, average = time.perf_counter(), None
        if num_averaged(self.run_state.state.opt_state):
            average = jax.block_until_ready(self._recompute_average())
            self._change(averaged_stats=average["batch_stats"])
        self._add(train_seconds=time.perf_counter() - begin)
        return average

    def evaluate(self, sums: UpdateSums, average: Variables | None) -> Evaluation:
        """Evaluates the weights and their average.

        Args:
            sums: those of the updates since the evaluation before.
            average: the average with its batch-norm statistics; None without one.
        """
        begin, program, state = time.perf_counter(), self.program, self.run_state.state
        test = program.evaluate(state.variables)
        averaged = None if average is None else program.evaluate(average)
        norms = program.squared_norms(state)
        # Everything is dispatched before this first and only wait.
        measured = jax.device_get(Measured(sums, test, averaged, norms))
        self._change(sums=program.zero_sums())
        self._add(evaluation_seconds=time.perf_counter() - begin)
        return make_row(
            self.run_state.plan,
            state,
            measured,
            program.metric_values,
            layer_names=program.layer_names if program.experiment.weight_norms else None,
            seconds=(self.run_state.train_seconds, self.run_state.evaluation_seconds),
        )

    def observe(self, row: Evaluation) -> None:
        """Adds a row to the run, and puts the metric that plateau looks at into the state."""
        plateau, state = self.program.experiment.optimizer.plateau, self.run_state.state
        if plateau is not None:
            value = np.float32(row.metrics[plateau.metric])
            state = dataclasses.replace(state, observed=self.program.driver.replicate(value))
        self._change(state=state, rows=(*self.run_state.rows, row))

    def grow_batch(self, row: Evaluation) -> None:
        """Continues at a larger batch size if the experiment's rule says so."""
        growth, plan = self.program.experiment.batch_growth, self.run_state.plan
        if growth is None or self.step >= plan.total_steps:
            return
        size = growth.next_size(
            self.program.batch_sizes,
            plan.batch_size_at(self.step),
            decay=row.decay,
            noise=math.nan if row.noise is None else row.noise["scale"],
        )
        if size != plan.batch_size_at(self.step):
            self.run_state = self.run_state.with_batch_size(size, self.step)

    def save_after(self, row: Evaluation) -> None:
        """Saves the run after an evaluation if that is due."""
        agreed = self._ask()()
        if self._policy and self._policy.is_due_after(row, self.run_state.plan, agreed):
            self._policy.save(self.step, self.run_state, agreed)

    def end(self, status: Literal["finished", "stopped"], reason: str) -> Outcome:
        """Saves a run that did not diverge, and returns its outcome."""
        if self._policy and self._policy.save_last:
            self._policy.save(self.step, self.run_state, self._ask()())
        now = self.run_state
        average = self._average_on_all()
        return Outcome(status, reason, now.state, now.rows, now.plan, average)

    def diverged(self, reason: str) -> Outcome:
        """The outcome of a run whose loss is not finite; its last state is not worth saving."""
        now = self.run_state
        return Outcome("diverged", reason, now.state, now.rows, now.plan)

    def _average_on_all(self) -> AverageOnAll | None:
        if not num_averaged(self.run_state.state.opt_state):
            return None
        part = self._recompute_average()
        whole = self._recompute_average(self.program.plan.num_examples)
        test = self.program.metric_values(jax.device_get(self.program.evaluate(whole)))
        error = relative_error(part["batch_stats"], whole["batch_stats"])
        metrics = {f"test_{name}": float(value) for name, value in test.items()}
        return AverageOnAll(metrics, float(error), whole)

    def _recompute_average(self, num_examples: int | None = None) -> Variables:
        """The average with statistics of the next training examples, by default as many as set."""
        default = self.program.experiment.optimizer.statistics_examples
        return self.program.recompute_batch_stats(
            self.program.averaged_params(self.run_state.state),
            seed=self.seed,
            step=self.step,
            num_examples=num_examples or default,
            plan=self.run_state.plan,
        )

    def _next_stop(self) -> int:
        """The update before which the next dispatch has to end.

        One executable makes updates of one batch size that start in one epoch; saving and tracing
        come between two dispatches.
        """
        plan = self.run_state.plan
        saves = self._policy.stops(plan) if self._policy else ()
        traces = self._profile.stops if self._profile else ()
        stops = (stop for stop in (*saves, *traces) if stop > self.step)
        return min((plan.next_boundary(self.step), *stops))

    def _await_compilation(self) -> float:
        """Waits until the next updates are compiled; returns for how many seconds devices idled."""
        size = self.run_state.plan.batch_size_at(self.step)
        if self.program.is_compiled(size):
            return 0.0
        # The devices are not idle before they have made the updates that are dispatched already.
        jax.block_until_ready(self.run_state.sums)
        begin = time.perf_counter()
        self.program.wait_for(size)
        self._sizer.pause()
        return time.perf_counter() - begin

    def _dispatch(self, until: int) -> None:
        """Dispatches some of the updates up to `until`, without waiting for them."""
        count = min(self._updates, until - self.step)
        if self._profile is not None:
            self._profile.before(self.step, self.run_state.sums)
        state, sums = self.program.update(
            self.run_state.state,
            self.run_state.sums,
            seed=self.seed,
            step=self.step,
            count=count,
            plan=self.run_state.plan,
        )
        self.step += count
        self._change(state=state, sums=sums, averaged_stats=None)
        if self._profile is not None:
            self._profile.after(self.step, sums)

    def _ask(self) -> Callable[[], HostVotes]:
        """Lets all processes vote on how to continue; all of them have to do so at the same update.

        Returns:
            A function that waits for the result.
        """
        updates = self._sizer.updates
        votes = self._policy.votes(updates) if self._policy else HostVotes(-updates, 0, 0)
        return vote(self.program.driver, votes)

    def _change(self, **changes: Any) -> None:
        self.run_state = self.run_state._replace(**changes)

    def _add(self, *, train_seconds: float = 0.0, evaluation_seconds: float = 0.0) -> None:
        self._change(
            train_seconds=self.run_state.train_seconds + train_seconds,
            evaluation_seconds=self.run_state.evaluation_seconds + evaluation_seconds,
        )


class _Dispatched(NamedTuple):
    """A dispatch that the device may still be working on."""

    step: int
    sums: UpdateSums
