"""The experiments that can share one program, and the numbers that tell them apart."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.serialize import describe
from jaxsched.optim.optimizers import Optimizer
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule


class SharedProgramSpec:
    """Experiments that one compiled program can run: the numbers that differ are its arguments.

    The experiments differ in numbers of their optimizer's schedules, in seed and in name, and in
    nothing else. A number that is the same in all of them stays a constant, with all its digits;
    the others become float32.

    Args:
        experiments: at least one.
        plan: the plan of all of them.

    Attributes:
        experiment: the first of them.
        numbers: f32[experiments, numbers], the numbers that differ.

    Raises:
        ValueError: when they differ in more than that.

    Example:
        >>> import dataclasses, jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tasks import ImageClassification
        >>> from jaxsched.train.program.shared_program import SharedProgramSpec
        >>> low = Experiment(
        ...     name="low",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=2, batch_size=250),),
        ...     optimizer=js.SGD(js.Cosine(0.25, duration="100%"), momentum=0.9),
        ... )
        >>> optimizer = dataclasses.replace(low.optimizer, lr=js.Cosine(0.5, duration="2 epochs"))
        >>> high = dataclasses.replace(low, name="high", optimizer=optimizer)
        >>> spec = SharedProgramSpec([low, high], low.plan(num_examples=1000))
        >>> spec.numbers.tolist(), spec.optimizer(spec.numbers[1]).lr.duration
        ([[0.25], [0.5]], 2.0)
    """

    def __init__(self, experiments: Sequence[Experiment], plan: Plan):
        signatures = {program_signature(experiment, plan) for experiment in experiments}
        if len(signatures) != 1:
            names = [experiment.name for experiment in experiments]
            raise ValueError(
                "experiments that share a program may differ in numbers of their schedules alone, "
                f"got {names}, which differ in more; make a program for each kind."
            )
        self.experiment, self._plan, (self._signature,) = experiments[0], plan, signatures
        self._leaves = [_schedule_numbers(e, plan) for e in experiments]
        self._tree = jax.tree.structure(_schedules(experiments[0], plan))
        columns = zip(*self._leaves, strict=True)
        self._differ = [not _are_equal(column, column[:1] * len(column)) for column in columns]
        varied = [list(itertools.compress(leaves, self._differ)) for leaves in self._leaves]
        # The shape is spelled out: NumPy makes f32[n, 0] of no numbers only when told to.
        self.numbers = np.array(varied, np.float32).reshape(len(experiments), sum(self._differ))

    def numbers_of(self, experiment: Experiment) -> np.ndarray:
        """Returns the numbers of one of the experiments, f32[numbers].

        Raises:
            ValueError: when it is none of them.
        """
        leaves = _schedule_numbers(experiment, self._plan)
        if program_signature(experiment, self._plan) == self._signature:
            for known, numbers in zip(self._leaves, self.numbers, strict=True):
                if _are_equal(leaves, known):
                    return numbers
        raise ValueError(
            f"expected one of the experiments that the program was made for, got "
            f"{experiment.name} with other numbers; make the program with it."
        )

    def optimizer(self, numbers: Any) -> Optimizer:
        """Returns the optimizer with these numbers, f32[numbers], which may be traced."""
        indices = iter(range(len(numbers)))
        leaves = [
            numbers[next(indices)] if differs else shared
            for differs, shared in zip(self._differ, self._leaves[0], strict=True)
        ]
        schedules = jax.tree.unflatten(self._tree, leaves)
        return self.experiment.optimizer.with_schedules(schedules)


def program_signature(experiment: Experiment, plan: Plan) -> str:
    """Returns a text that is the same for all experiments that can share a program."""
    schedules = _schedules(experiment, plan)
    bare = experiment.optimizer.with_schedules(dict.fromkeys(schedules, 0.0))
    rest = dataclasses.replace(experiment, name="member", seed=0, optimizer=bare)
    # Numbers that a schedule keeps in an array cannot be arguments, so they must be the same.
    arrays = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(schedules) if np.ndim(leaf)]
    return json.dumps([describe(rest), str(jax.tree.structure(schedules)), arrays])


def _schedules(experiment: Experiment, plan: Plan) -> dict[str, Schedule]:
    """The optimizer's schedules by field name, with every time in epochs."""
    return {name: plan.resolve(s) for name, s in experiment.optimizer.schedules().items()}


def _schedule_numbers(experiment: Experiment, plan: Plan) -> list[Any]:
    """All numbers of the optimizer's schedules, in the order of their tree."""
    return jax.tree.leaves(_schedules(experiment, plan))


def _are_equal(leaves: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether numbers, or arrays of them, are pairwise the same."""
    return all(np.array_equal(a, b) for a, b in zip(leaves, others, strict=True))
