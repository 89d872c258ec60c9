"""What several runs share, and the numbers that tell them apart."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsched.data import Dataset, Images
from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.serialize import describe
from jaxsched.optim.optimizers import Optimizer
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule


class Member(NamedTuple):
    """One of several runs."""

    experiment: Experiment
    seed: int


class SharedProgramSpec:
    """Experiments of which one program makes the updates: its arguments tell them apart.

    They differ in numbers of their optimizer's schedules, in seed and in name, and in nothing else.
    A number that is the same in all of them stays as it is, with all its digits; the others become
    float32.

    Args:
        experiments: at least one.
        plan: of all of them.

    Attributes:
        experiment: the first of them.
        numbers: f32[experiments, numbers], those that differ.

    Raises:
        ValueError: when they differ in more than that.

    Example:
        >>> import dataclasses, jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.train.population.family import SharedProgramSpec
        >>> low = Experiment(
        ...     name="low",
        ...     model=R9,
        ...     data=Synthetic(),
        ...     phases=(js.Phase(epochs=2, batch_size=250),),
        ...     optimizer=js.SGD(js.Cosine(0.25, duration="100%"), momentum=0.9),
        ... )
        >>> optimizer = dataclasses.replace(low.optimizer, lr=js.Cosine(0.5, duration="2 epochs"))
        >>> high = dataclasses.replace(low, name="high", optimizer=optimizer)
        >>> family = SharedProgramSpec([low, high], low.plan(num_examples=1000))
        >>> family.numbers.tolist(), family.optimizer(family.numbers[1]).lr.duration
        ([[0.25], [0.5]], 2.0)
    """

    def __init__(self, experiments: Sequence[Experiment], plan: Plan):
        forms = {program_signature(experiment, plan) for experiment in experiments}
        if len(forms) != 1:
            names = [experiment.name for experiment in experiments]
            raise ValueError(
                "a family's experiments may differ in numbers of their schedules alone, got "
                f"{names}, which differ in more; make a family of each kind."
            )
        self.experiment, self._plan, (self._kind,) = experiments[0], plan, forms
        self._leaves = [_numbers(e, plan) for e in experiments]
        self._tree = jax.tree.structure(_schedules(experiments[0], plan))
        columns = zip(*self._leaves, strict=True)
        self._differ = [not _are_equal(column, column[:1] * len(column)) for column in columns]
        varied = [list(itertools.compress(leaves, self._differ)) for leaves in self._leaves]
        self.numbers = np.array(varied, np.float32).reshape(len(experiments), sum(self._differ))

    def numbers_of(self, experiment: Experiment) -> np.ndarray:
        """Those of an experiment of the family, f32[numbers].

        Raises:
            ValueError: when it is another.
        """
        leaves = _numbers(experiment, self._plan)
        if program_signature(experiment, self._plan) == self._kind:
            for known, numbers in zip(self._leaves, self.numbers, strict=True):
                if _are_equal(leaves, known):
                    return numbers
        raise ValueError(
            f"expected one of the experiments that the program was made for, got "
            f"{experiment.name} with other numbers; make the program with it."
        )

    def optimizer(self, numbers: Any) -> Optimizer:
        """That of the experiment with these numbers, f32[numbers]; they may be traced."""
        given = iter(range(len(numbers)))
        leaves = [
            numbers[next(given)] if differs else shared
            for differs, shared in zip(self._differ, self._leaves[0], strict=True)
        ]
        schedules = jax.tree.unflatten(self._tree, leaves)
        return self.experiment.optimizer.with_schedules(schedules)


def program_signature(experiment: Experiment, plan: Plan) -> str:
    """What experiments of one family have in common, as text."""
    schedules = _schedules(experiment, plan)
    bare = experiment.optimizer.with_schedules(dict.fromkeys(schedules, 0.0))
    rest = dataclasses.replace(experiment, name="member", seed=0, optimizer=bare)
    # Of a schedule's numbers that lie in an array, none is told apart.
    arrays = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(schedules) if np.ndim(leaf)]
    return json.dumps([describe(rest), str(jax.tree.structure(schedules)), arrays])


def distinct(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Each experiment once, in order; one with an optimizer's arguments has no hash."""
    found: list[Experiment] = []
    for experiment in experiments:
        if experiment not in found:
            found.append(experiment)
    return found


def why_alone(experiment: Experiment, dataset: Dataset) -> str:
    """Why runs of this experiment cannot be made several at once; "" where they can."""
    optimizer = experiment.optimizer
    reasons = {
        "its data is streamed": not isinstance(dataset.train, Images),
        "it has several phases": len(experiment.phases) > 1,
        "its batch grows": experiment.batch_growth is not None,
        "it measures norms": experiment.weight_norms,
        "it limits max_device_batch": experiment.max_device_batch is not None,
        "it has a plateau, which observes evaluations": optimizer.plateau is not None,
        "it has an average, whose statistics are re-estimated": optimizer.averaging is not None,
        "it estimates the gradient's noise": optimizer.noise is not None,
        "several processes train": jax.process_count() > 1,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _schedules(experiment: Experiment, plan: Plan) -> dict[str, Schedule]:
    """By the name of their field, with every time in epochs."""
    return {name: plan.resolve(s) for name, s in experiment.optimizer.schedules().items()}


def _are_equal(leaves: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether numbers, or arrays of them, are the same, one by one."""
    return all(np.array_equal(a, b) for a, b in zip(leaves, others, strict=True))


def _numbers(experiment: Experiment, plan: Plan) -> list[Any]:
    """Of its schedules, in the order of their tree."""
    return jax.tree.leaves(_schedules(experiment, plan))
