"""The members of a population, and whether an experiment's runs can be among them."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsched.data import Dataset, Examples
from jaxsched.experiment.experiment import Experiment
from jaxsched.transforms import keeps_average


class Member(NamedTuple):
    """One run of a population."""

    experiment: Experiment
    seed: int


def distinct(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Returns each experiment once, in order."""
    # No set: an experiment whose optimizer has a dict of arguments cannot be hashed.
    found: list[Experiment] = []
    for experiment in experiments:
        if experiment not in found:
            found.append(experiment)
    return found


def why_alone(experiment: Experiment, dataset: Dataset) -> str:
    """Returns why runs of this experiment cannot be in a population; "" where they can."""
    optimizer = experiment.optimizer
    reasons = {
        "its data is streamed": not isinstance(dataset.train, Examples),
        "it has several phases": len(experiment.phases) > 1,
        "its batch grows": experiment.batch_growth is not None,
        "it measures norms": experiment.weight_norms,
        "it starts from another run's layers": experiment.pretrained is not None,
        "it limits max_device_batch": experiment.max_device_batch is not None,
        "it has a plateau, which observes evaluations": optimizer.plateau is not None,
        "it has an average, whose statistics are re-estimated": _keeps_average(experiment, dataset),
        "it estimates the gradient's noise": optimizer.noise is not None,
        "several processes train": jax.process_count() > 1,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _keeps_average(experiment: Experiment, dataset: Dataset) -> bool:
    """Whether the optimizer's state has an average: a chain's own, such as a schedule-free one."""
    task = experiment.task.build(dataset, dtype=jnp.dtype(experiment.precision))
    num_examples = len(dataset.train)
    marks = experiment.evaluation_marks(num_examples)
    tx = experiment.optimizer.transformation(experiment.plan(num_examples), marks)
    return keeps_average(jax.eval_shape(lambda: tx.init(task.init(jax.random.key(0))["params"])))
