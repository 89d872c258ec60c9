"""The loop of a run: which updates are dispatched when, and what happens at each evaluation.

At an evaluation mark the order is fixed: wait for the updates and read their sums, evaluate, read
the hyper-parameters in force, hand over the row. Only the first counts as training time.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax

from jaxsched.optimizers import hyperparams
from jaxsched.plan import Plan
from jaxsched.train.program import Program
from jaxsched.train.state import TrainState
from jaxsched.train.sums import Sums

# Long enough that what a dispatch costs the host does not count, short enough that progress and an
# interrupt come through at once.
_DISPATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Evaluation:
    """What is known at one evaluation: a row of the record.

    Attributes:
        step: updates made.
        examples: examples that they took.
        epoch: examples / N.
        train_seconds: spent on updates so far, without compilation and evaluation.
        evaluation_seconds: spent on evaluations so far.
        batch_size: of the last update.
        learning_rate: that the last update used; None for an optimizer that has none.
        momentum: that the last update used; Adam's b1; 0 without momentum.
        weight_decay: that the last update used; 0 without.
        train_loss: mean over the examples since the evaluation before, augmented, as trained on.
        train_accuracy: likewise.
        test_loss: mean over the test set.
        test_accuracy: likewise.
    """

    step: int
    examples: int
    epoch: float
    train_seconds: float
    evaluation_seconds: float
    batch_size: int
    learning_rate: float | None
    momentum: float
    weight_decay: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: "finished", or "diverged" when a loss was not finite.
        reason: in words, where it diverged.
        state: the last state.
    """

    status: Literal["finished", "diverged"]
    reason: str
    state: TrainState


def train(
    program: Program,
    seed: int,
    *,
    on_evaluation: Callable[[Evaluation], None],
    on_updates: Callable[[int], None] = lambda step: None,
) -> Outcome:
    """Runs an experiment from its first update to its last.

    The host runs ahead of the device by one dispatch and never waits for a single update.

    Args:
        program: the experiment, compiled.
        seed: of this run; the experiment's own is not looked at.
        on_evaluation: takes each row as soon as it is known.
        on_updates: takes the number of updates that are certainly done, a few times a second.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.train import Experiment, Program, train
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
    state, step, pace = program.init(seed), 0, _Pace()
    train_seconds = evaluation_seconds = 0.0
    for mark in program.experiment.evaluation_steps(program.plan.num_examples):
        start = time.perf_counter()
        state, sums = _updates_until(mark, program, state, int(step), seed, pace, on_updates)
        sums, step = jax.device_get((sums, state.step))
        train_seconds += time.perf_counter() - start
        if not math.isfinite(sums.loss):
            reason = f"diverged at update {step - 1}: the training loss is not finite"
            return Outcome("diverged", reason, state)

        start = time.perf_counter()
        test_sums = jax.device_get(program.evaluate(state))
        evaluation_seconds += time.perf_counter() - start
        if not math.isfinite(test_sums.loss):
            reason = f"diverged at update {step - 1}: the test loss after it is not finite"
            return Outcome("diverged", reason, state)

        seconds = (train_seconds, evaluation_seconds)
        on_evaluation(_evaluation(program.plan, int(step), state, sums, test_sums, seconds))
    return Outcome("finished", "", state)


class _Pace:
    """How many updates make a dispatch of about `_DISPATCH_SECONDS`, from those done so far."""

    def __init__(self):
        self.updates = 1
        self._before: tuple[int, float] | None = None

    def done(self, step: int) -> None:
        """Takes that the updates before `step` are done now."""
        now = time.perf_counter()
        if self._before is not None:
            step_before, then = self._before
            rate = (step - step_before) / max(now - then, 1e-6)
            self.updates = max(1, min(2 * self.updates, int(_DISPATCH_SECONDS * rate)))
        self._before = (step, now)

    def pause(self) -> None:
        """Takes that something else comes before the next update."""
        self._before = None


def _updates_until(
    mark: int,
    program: Program,
    state: TrainState,
    step: int,
    seed: int,
    pace: _Pace,
    on_updates: Callable[[int], None],
) -> tuple[TrainState, Sums]:
    """Makes all updates from `step` to `mark`; returns before the last two dispatches are done."""
    plan = program.plan
    sums, sums_before = program.zero_sums(), None
    while step < mark:
        epoch, _ = plan.place_at(step)
        stretch_end = min(mark, plan.alike_until(step))
        order = program.order(seed, epoch)
        while step < stretch_end:
            count = min(pace.updates, stretch_end - step)
            state, sums = program.update(
                state, sums, seed=seed, order=order, step=step, count=count
            )
            if sums_before is not None:
                # The device has the next dispatch already, so this wait costs it nothing.
                jax.block_until_ready(sums_before)
                pace.done(step)
                on_updates(step)
            sums_before = sums
            step += count
    pace.pause()
    return state, sums


def _evaluation(
    plan: Plan,
    step: int,
    state: TrainState,
    train: Sums,
    test: Sums,
    seconds: tuple[float, float],
) -> Evaluation:
    """The row of an evaluation after `step` updates; what was in force is read from the state."""
    in_force = {name: float(value) for name, value in hyperparams(state.opt_state).items()}
    examples = plan.examples_at(step)
    return Evaluation(
        step=step,
        examples=examples,
        epoch=examples / plan.num_examples,
        train_seconds=seconds[0],
        evaluation_seconds=seconds[1],
        batch_size=plan.batch_size_at(step - 1),
        learning_rate=in_force.get("learning_rate"),
        momentum=in_force.get("momentum", in_force.get("b1", 0.0)),
        weight_decay=in_force.get("weight_decay", 0.0),
        train_loss=train.mean_loss,
        train_accuracy=train.accuracy,
        test_loss=test.mean_loss,
        test_accuracy=test.accuracy,
    )
