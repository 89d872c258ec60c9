"""How long momentum's velocity takes to build up, and a momentum that rises no faster than that."""

import math
from typing import Any, NamedTuple

import numpy as np

from jaxsched.batch_size.example_time import ExampleTimeline, StepFunction, phase_spans
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule

# A velocity that needs this share of a phase to build up is said.
NOTICEABLE = 0.1


def momentum_lag(batch_size: Any, num_examples: int, momentum: Any) -> Any:
    """Returns the epochs that the velocity of momentum takes to build up, and to forget.

    The velocity sums gradients over about 1 / (1 − momentum) updates. Until it has done so the
    steps are shorter than the learning rate promises: a run that begins at rest loses this time. It
    grows with the batch, so that a run with large batches and a large momentum may spend most of
    its epochs on it, as with momentum 0.98 and batches of 800 of 10,000 examples.

    Formula:
        B / (N (1 − momentum))

    Args:
        batch_size: B, examples an update; a number or an array.
        num_examples: N, the size of the training set.
        momentum: the momentum of heavy-ball or Nesterov SGD, below 1.

    Returns:
        The lag in epochs, with the shape that the arguments broadcast to.

    Source:
        Smith et al., "Don't decay the learning rate, increase the batch size" (arXiv 1711.00489),
        section 4, on why a larger momentum cost accuracy.

    Example:
        >>> import jaxsched as js
        >>> round(js.momentum_lag(800, 10_000, 0.98), 6)
        4.0
    """
    return batch_size / (num_examples * (1 - momentum))


class Lagging(NamedTuple):
    """A phase in which the velocity takes a noticeable share of the time to build up."""

    number: int  # from 1
    lag: float  # epochs
    epochs: float  # the phase's length

    def describe(self) -> str:
        """Returns a sentence about it."""
        return (
            f"the velocity takes {self.lag:.3g} of the {self.epochs:.6g} epochs of phase "
            f"{self.number} to build up, B / (N (1 - momentum))"
        )


def lagging_phases(plan: Plan, momentum: Schedule) -> tuple[Lagging, ...]:
    """Returns the phases of which the velocity takes at least a tenth to build up.

    Args:
        plan: the phases and their batch sizes.
        momentum: a schedule in epochs; where it is 0 there is no velocity.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.batch_size.momentum_lag import lagging_phases
        >>> plan = js.Plan((js.Phase(30, 32), js.Phase(2, 800)), num_examples=10_000)
        >>> [phase.describe() for phase in lagging_phases(plan, js.Constant(0.9))]
        ['the velocity takes 0.8 of the 2 epochs of phase 2 to build up, B / (N (1 - momentum))']
    """
    values = ExampleTimeline(plan).by_example(momentum)
    found = []
    for number, (phase, (begin, _)) in enumerate(
        zip(plan.phases, phase_spans(plan.phases), strict=True), start=1
    ):
        first = float(values(np.array([round(begin * plan.num_examples)]))[0])
        lag = momentum_lag(phase.batch_size, plan.num_examples, first) if first < 1 else math.inf
        if first > 0 and lag >= NOTICEABLE * phase.epochs:
            found.append(Lagging(number, lag, float(phase.epochs)))
    return tuple(found)


def ramp(
    first: int, last: int, momentum: float, max_lag: float, total_examples: int
) -> StepFunction:
    """Returns batch sizes that double from the first to the last, each once its lag allows it.

    Formula:
        a size B begins at example B / ((1 − m) · max_lag), with (1 − m) B = (1 − momentum) · first

    There the epochs that the velocity takes to build up are `max_lag` of the epochs done. The
    noise stays the same because (1 − m) B does.

    Args:
        first: the batch size to begin with.
        last: the largest batch size.
        momentum: the momentum that belongs to the first size.
        max_lag: the largest share of the time done that the velocity may take to build up.
        total_examples: the examples of the run.
    """
    kept = (1 - momentum) * first
    changes = [(0, first)]
    while changes[-1][1] < last:
        size = min(2 * changes[-1][1], last)
        begin = math.ceil(size**2 / (kept * max_lag))
        if begin >= total_examples:
            break
        changes.append((begin, size))
    return StepFunction.from_changes(changes)
