"""Chooses how the members of a family share the devices: by hand, or the fastest way."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax

from jaxsched.data import Dataset
from jaxsched.train import Member, MembersDriver, Population, Program
from jaxsched.train.population.members import distinct, why_alone
from jaxsched.train.population.strategy import Strategy, StrategyChoice, first_devices

# More members on one device take more memory and are no faster.
_MOST_ON_ONE_DEVICE = 16
# To try a strategy costs a compilation, which may take this share of the family's training time.
_WORTH_TRYING = 0.05
_TRIED_UPDATES = 8


@dataclass(frozen=True, eq=False)
class Execution:
    """The compiled programs of a family, and the strategy that they run its members by.

    Attributes:
        strategy: "in_turn", one member after another, each batch split over all devices; "devices",
            one member on each device; "vmap", several members on one device.
        program: runs one member at a time.
        population: runs several members at once; None for "in_turn".
        seconds: seconds per update of one member, for each strategy that was tried.
    """

    strategy: Strategy
    program: Program
    population: Population | None
    seconds: dict[Strategy, float]

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling the chosen strategy."""
        return (self.population or self.program).compile_seconds

    @property
    def num_devices(self) -> int:
        """The number of devices that the members run on."""
        return len((self.population or self.program).driver.devices)

    @property
    def size(self) -> int:
        """The number of members that run at a time."""
        return 1 if self.population is None else self.population.driver.num_members


def prepare(
    members: Sequence[Member], dataset: Dataset, choice: StrategyChoice = "auto"
) -> Execution:
    """Compiles the programs that run members of one family.

    "auto" tries the other strategies only if there is so much to train that trying costs little:
    each one is compiled and makes some updates, and the strategy with the fewest seconds per update
    of one member is taken. The strategies use no more devices than the experiment's `num_devices`;
    a number of devices may be larger.

    Args:
        members: the members, all of one family.
        dataset: the data set of all of them.
        choice: a strategy, a number of devices for one member each, or "auto".

    Raises:
        ValueError: when the members cannot run by the chosen strategy.
    """
    first, *alike = distinct(member.experiment for member in members)
    program = Program(first, dataset, alike=alike)
    if choice == "in_turn" or choice == 1:
        return Execution("in_turn", program, None, {})
    if choice == "auto":
        return _fastest(members, dataset, program)
    strategy: Strategy = "devices" if isinstance(choice, int) else choice
    population = Population(members, dataset, _driver(choice, members))
    return Execution(strategy, program, population, {})


def _fastest(members: Sequence[Member], dataset: Dataset, program: Program) -> Execution:
    seconds: dict[Strategy, float] = {}
    tried = [Execution("in_turn", program, None, seconds)]
    if len(members) == 1 or why_alone(members[0].experiment, dataset):
        return tried[0]
    seconds["in_turn"] = seconds_per_update(tried[0], members)
    training_seconds = seconds["in_turn"] * program.plan.total_steps * len(members)
    if program.compile_seconds > _WORTH_TRYING * training_seconds:
        return tried[0]
    others: list[Strategy] = ["vmap"] if jax.local_device_count() == 1 else ["devices", "vmap"]
    for strategy in others:
        population = Population(members, dataset, _driver(strategy, members))
        tried.append(Execution(strategy, program, population, seconds))
        seconds[strategy] = seconds_per_update(tried[-1], members)
    return min(tried, key=lambda execution: seconds[execution.strategy])


def _driver(choice: Strategy | int, members: Sequence[Member]) -> MembersDriver:
    """The driver that places the members on the devices."""
    if isinstance(choice, int):
        return MembersDriver(first_devices(choice)[: len(members)])
    devices = jax.local_devices()[: members[0].experiment.num_devices]
    if choice == "devices":
        return MembersDriver(devices[: len(members)])
    return MembersDriver(devices[:1], min(len(members), _MOST_ON_ONE_DEVICE))


def seconds_per_update(
    execution: Execution, members: Sequence[Member], updates: int = _TRIED_UPDATES
) -> float:
    """Measures the seconds per update of one member, when all members run by this strategy.

    Args:
        execution: the compiled programs.
        members: all members that they were compiled for.
        updates: how many updates to time, in one dispatch, after one update that is not timed.
    """
    # The updates of one dispatch must lie within one epoch.
    updates = max(1, min(updates, execution.program.plan.next_boundary(1) - 1))
    if execution.population is None:
        return _seconds_in_turn(execution.program, members[0].seed, updates)
    runs = execution.population.start(members[: execution.size])
    runs.advance(1)
    start = time.perf_counter()
    runs.advance(1 + updates, dispatch=updates)
    # The last round may have fewer members, and takes as long as the others.
    rounds = math.ceil(len(members) / execution.size)
    return (time.perf_counter() - start) / updates * rounds / len(members)


def _seconds_in_turn(program: Program, seed: int, updates: int) -> float:
    state, sums = program.init(seed), program.zero_sums()
    # The first dispatch of a program takes longer than the later ones.
    state, sums = program.update(state, sums, seed=seed, step=0, count=1)
    jax.block_until_ready(sums)
    start = time.perf_counter()
    state, sums = program.update(state, sums, seed=seed, step=1, count=updates)
    jax.block_until_ready(sums)
    return (time.perf_counter() - start) / updates
