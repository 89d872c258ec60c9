"""Measures range tests: the losses of the updates' batches, and of held-out examples in between."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxsched.lr_finder.divergence import has_diverged
from jaxsched.train import Member, Population, Program
from jaxsched.tune.execution.strategy import Execution

# Updates between reads of the losses, which show progress and stop a run that diverged.
_READ_EVERY = 20

# The values of metrics by name.
Metrics: TypeAlias = Mapping[str, np.ndarray]


class Measured(NamedTuple):
    """The metrics so far, before each update: of its batch, and of the held-out examples.

    Attributes:
        training: [members, updates] each.
        validation: [members, evaluations] each; nothing without evaluations.
    """

    training: Metrics
    validation: Metrics

    def of_member(self, number: int) -> "Measured":
        """Returns one member's metrics, without the first axis."""
        return Measured(*({name: values[number] for name, values in part.items()} for part in self))


def measure(
    execution: Execution, members: Sequence[Member], num_updates: int, validate_every: int | None
) -> Iterator[Measured]:
    """Yields the metrics so far, until all members have made their updates or have diverged.

    Args:
        execution: the compiled runs.
        members: the runs to make now.
        num_updates: how many updates each makes.
        validate_every: the number of updates between two evaluations, the first of which is before
            the first update; None for no evaluation.
    """
    if execution.population is None:
        (member,) = members
        reads = _measure_one(execution.program, member.seed, num_updates, validate_every)
    else:
        reads = _measure_several(execution.population, members, num_updates, validate_every)
    for measured in reads:
        yield measured
        if all(map(has_diverged, measured.training["loss"])):
            return


def _measure_one(
    program: Program, seed: int, num_updates: int, validate_every: int | None
) -> Iterator[Measured]:
    """Trains one member; the host is ahead of the devices by one update."""
    state, zero, measured, known = program.init(seed), program.zero_sums(), [], []
    evaluated = []
    for step in range(num_updates):
        if validate_every is not None and step % validate_every == 0:
            sums = jax.device_get(program.evaluate(state.variables))
            evaluated.append([program.metric_values(sums)])
        # Each update starts from zero sums, which it does not overwrite, and so returns its own.
        state, sums = program.update(state, zero, seed=seed, step=step, count=1)
        # On a CPU's virtual devices, updates that run at the same time can deadlock.
        jax.block_until_ready(measured[-1:])
        measured.append(sums)
        if (step + 1) % _READ_EVERY == 0 or step + 1 == num_updates:
            # The newest sums are left for later, so that the host does not wait for them.
            behind = len(measured) if step + 1 == num_updates else len(measured) - _READ_EVERY
            known += jax.device_get(measured[len(known) : behind])
            if known:
                rows = [[program.metric_values(sums.metrics)] for sums in known]
                yield Measured(_by_name(rows), _by_name(evaluated))


def _measure_several(
    population: Population, members: Sequence[Member], num_updates: int, validate_every: int | None
) -> Iterator[Measured]:
    """Trains several members at once."""
    runs, evaluated = population.start(members), []
    every = validate_every or num_updates
    while runs.step < num_updates:
        if validate_every is not None and runs.step % every == 0:
            evaluated.append([population.metric_values(sums) for sums in runs.evaluate()])
        next_evaluation = every * (runs.step // every + 1)
        runs.advance(min(runs.step + _READ_EVERY, next_evaluation, num_updates))
        yield Measured(population.metric_values(runs.trace().sums), _by_name(evaluated))


def _by_name(rows: Sequence[Sequence[Mapping[str, Any]]]) -> Metrics:
    """The metrics of each time and member, by name: [members, times]."""
    if not rows:
        return {}
    return {name: np.array([[each[name] for each in row] for row in rows]).T for name in rows[0][0]}
