"""How many members of a family run at once: whichever way is fastest here."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import jax

from jaxsched.data import Dataset
from jaxsched.train import Member, MembersDriver, Population, Program
from jaxsched.train.population.members import distinct, why_alone

Strategy: TypeAlias = Literal["in_turn", "devices", "vmap"]
StrategyChoice: TypeAlias = Literal["auto", "in_turn", "devices", "vmap"]

# More side by side take memory and gain no more.
_MOST_SIDE_BY_SIDE = 16
# Trying a way costs a compilation; it may take such a share of the time that there is to gain.
_WORTH_TRYING = 0.05
_TRIED_UPDATES = 8


@dataclass(frozen=True, eq=False)
class Execution:
    """The way in which the members of a family are run.

    Attributes:
        way: "in_turn", one after another with each batch split over all devices; "devices", one
            member a device; "vmap", some side by side on one device.
        program: what runs them in turn.
        cohort: what runs several at once; None in turn.
        seconds: an update of one member, of each way that was tried.
    """

    way: Strategy
    program: Program
    cohort: Population | None
    seconds: dict[Strategy, float]

    @property
    def compile_seconds(self) -> float:
        """Of what runs them."""
        return (self.cohort or self.program).compile_seconds

    @property
    def num_devices(self) -> int:
        """That run them."""
        return len((self.cohort or self.program).driver.devices)

    @property
    def size(self) -> int:
        """How many members run at a time."""
        return 1 if self.cohort is None else self.cohort.driver.num_members


def prepare(
    members: Sequence[Member], dataset: Dataset, choice: StrategyChoice = "auto"
) -> Execution:
    """Compiles what runs members of one family, the way that was chosen or that is fastest.

    By itself it tries the others only where there is so much to do that trying costs little: each
    is compiled and makes some updates, and the one whose update of one member takes least wins.

    Args:
        members: of one family.
        dataset: of all of them.
        choice: a way, or "auto".

    Raises:
        ValueError: when the chosen way cannot run them.
    """
    first, *alike = distinct(member.experiment for member in members)
    program = Program(first, dataset, alike=alike)
    if choice == "in_turn":
        return Execution("in_turn", program, None, {})
    if choice != "auto":
        cohort = Population(members, dataset, _driver(choice, members))
        return Execution(choice, program, cohort, {})
    return _fastest(members, dataset, program)


def _fastest(members: Sequence[Member], dataset: Dataset, program: Program) -> Execution:
    seconds: dict[Strategy, float] = {}
    tried = [Execution("in_turn", program, None, seconds)]
    if len(members) == 1 or why_alone(members[0].experiment, dataset):
        return tried[0]
    seconds["in_turn"] = seconds_an_update(tried[0], members)
    work = seconds["in_turn"] * program.plan.total_steps * len(members)
    if program.compile_seconds > _WORTH_TRYING * work:
        return tried[0]
    ways: list[Strategy] = ["vmap"] if jax.local_device_count() == 1 else ["devices", "vmap"]
    for way in ways:
        cohort = Population(members, dataset, _driver(way, members))
        tried.append(Execution(way, program, cohort, seconds))
        seconds[way] = seconds_an_update(tried[-1], members)
    return min(tried, key=lambda at_once: seconds[at_once.way])


def _driver(way: Strategy, members: Sequence[Member]) -> MembersDriver:
    """How the members lie on the devices."""
    devices = jax.local_devices()[: members[0].experiment.num_devices]
    if way == "devices":
        return MembersDriver(devices[: len(members)])
    return MembersDriver(devices[:1], min(len(members), _MOST_SIDE_BY_SIDE))


def seconds_an_update(
    at_once: Execution, members: Sequence[Member], updates: int = _TRIED_UPDATES
) -> float:
    """What an update of one member takes, where all of them are run this way.

    Args:
        at_once: what runs them.
        members: all that it was made for.
        updates: to look at, in one dispatch; one more is made first, and not counted.
    """
    updates = max(1, min(updates, at_once.program.plan.next_boundary(1) - 1))
    if at_once.cohort is None:
        return _seconds_in_turn(at_once.program, members[0].seed, updates)
    runs = at_once.cohort.start(members[: at_once.size])
    runs.advance(1)
    start = time.perf_counter()
    runs.advance(1 + updates, dispatch=updates)
    rounds = math.ceil(len(members) / at_once.size)
    return (time.perf_counter() - start) / updates * rounds / len(members)


def _seconds_in_turn(program: Program, seed: int, updates: int) -> float:
    state, sums = program.init(seed), program.zero_sums()
    state, sums = program.update(state, sums, seed=seed, step=0, count=1)
    jax.block_until_ready(sums)
    start = time.perf_counter()
    state, sums = program.update(state, sums, seed=seed, step=1, count=updates)
    jax.block_until_ready(sums)
    return (time.perf_counter() - start) / updates
