"""Schedules as functions of the examples seen, and the very examples at which they change."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxsched.plan import Phase, Plan
from jaxsched.schedules import Constant, Product, Schedule
from jaxsched.schedules import Sequence as OneAfterAnother
from jaxsched.schedules.arithmetic.moment import Count, first_count
from jaxsched.text import to_seven_digits

# From examples, int64[n], to a value at each of them, [n].
ExampleFunction: TypeAlias = Callable[[np.ndarray], np.ndarray]

# A schedule with at most this many values over a run counts as one that falls in steps.
MAX_STEP_VALUES = 8
# A function that changes more often than this is not traced from change to change.
MAX_CHANGES = 128
# Functions are evaluated in blocks of one size, so that JAX compiles each operation once.
_BLOCK = 1024
_CELLS_PER_EPOCH = 64
_MAX_CELLS = 64 * _BLOCK


class StepFunction(NamedTuple):
    """A function of the examples seen that is constant between the examples where it changes."""

    starts: np.ndarray  # i64[n], ascending; the first is 0
    values: np.ndarray  # [n], the value from each start on

    @classmethod
    def from_changes(cls, changes: Iterable[tuple[int, Any]]) -> "StepFunction":
        """Makes it from pairs of an example and the value from there on."""
        starts, values = zip(*changes, strict=True)
        return cls(np.array(starts), np.array(values))

    def __call__(self, examples: np.ndarray) -> np.ndarray:
        """The values at these examples."""
        return self.values[np.searchsorted(self.starts, examples, side="right") - 1]

    def combined(
        self, other: "StepFunction", operation: Callable[..., np.ndarray]
    ) -> "StepFunction":
        """The operation applied to both; the result changes where either of them does."""
        starts = np.union1d(self.starts, other.starts)
        return StepFunction(starts, operation(self(starts), other(starts)))


class ExampleTimeline:
    """The examples of a run in the order of training, and its schedules as functions of them.

    A trade moves updates to other examples, so what it compares must be a function of examples.
    """

    def __init__(self, plan: Plan):
        self.phases = plan.phases
        self.num_examples = plan.num_examples
        self.total_examples = round(
            sum(Fraction(phase.epochs) for phase in plan.phases) * plan.num_examples
        )

    def by_example(self, schedule: Schedule) -> ExampleFunction:
        """A schedule in epochs as a function of examples, float64[n]."""

        def values(examples: np.ndarray) -> np.ndarray:
            place = np.divmod(np.asarray(examples, np.int64), self.num_examples)
            if schedule.is_known:
                return np.asarray(schedule.value_at(Count(*place, self.num_examples)), float)
            fill = (0, -len(examples) % _BLOCK)
            blocks = (np.pad(part, fill, mode="edge").reshape(-1, _BLOCK) for part in place)
            found = [self._with_jax(schedule, *block) for block in zip(*blocks, strict=True)]
            return np.concatenate(found)[: len(examples)]

        return values

    def _with_jax(self, schedule: Schedule, epochs: np.ndarray, places: np.ndarray) -> np.ndarray:
        moment = Count(jnp.asarray(epochs), jnp.asarray(places), self.num_examples)
        return np.asarray(schedule.value_at(moment), float)

    @cached_property
    def grid(self) -> np.ndarray:
        """Examples from the first to the last; at most one change is found between neighbours."""
        epochs = self.total_examples / self.num_examples
        cells = min(max(_BLOCK, round(_CELLS_PER_EPOCH * epochs)), _MAX_CELLS)
        return np.unique(np.linspace(0, self.total_examples - 1, cells + 1).astype(np.int64))

    @cached_property
    def batch_size(self) -> StepFunction:
        """The plan's batch size.

        It changes at the example nearest to the phase's end, as it does in the plan.
        """
        ends = [end for _, end in phase_spans(self.phases[:-1])]
        starts = [0, *(round(end * self.num_examples) for end in ends)]
        return StepFunction(np.array(starts), np.array([phase.batch_size for phase in self.phases]))

    def _first_example(self, epochs: float) -> int:
        return int(first_count(epochs * self.num_examples))

    def find_steps(self, function: ExampleFunction) -> StepFunction | None:
        """The function as a step function; None if it changes more than `MAX_CHANGES` times."""
        # One pair is the value at the start; one more is enough to know that there are too many.
        changes = list(itertools.islice(self._changes(function), MAX_CHANGES + 2))
        return StepFunction.from_changes(changes) if len(changes) <= MAX_CHANGES + 1 else None

    def _changes(self, function: ExampleFunction) -> Iterator[tuple[int, Any]]:
        """Yields each example at which the function changes, and its value from there on."""
        on_grid = function(self.grid)
        yield 0, on_grid[0]
        for cell in np.flatnonzero(on_grid[1:] != on_grid[:-1]):
            example, end = self.grid[cell : cell + 2]
            value = on_grid[cell]
            while value != on_grid[cell + 1]:
                example = _first_change(function, example, end)
                value = function(np.array([example]))[0]
                yield example, value

    def make_phases(self, batch_size: StepFunction) -> tuple[Phase, ...]:
        """Phases between the examples where the batch size changes.

        Their epochs are the shortest decimal numbers from which a plan finds these examples again.
        """
        phases: list[Phase] = []
        done = Fraction(0)
        ends = [*batch_size.starts[1:].tolist(), self.total_examples]
        for end, size in zip(ends, batch_size.values.tolist(), strict=True):
            left = Fraction(end, self.num_examples) - done
            # `None` rounds to an int, so that whole epochs print as 60 and not as 60.0.
            rounded = (round(float(left), digits or None) for digits in range(18))
            epochs = next(
                e for e in rounded if round((done + Fraction(e)) * self.num_examples) == end
            )
            done += Fraction(epochs)
            phases.append(Phase(epochs, size))
        return tuple(phases)

    def scaled(self, schedule: Schedule, factors: StepFunction) -> Schedule:
        """The schedule times the factors: constants one after another where it has few values."""
        if all(to_seven_digits(factor) == 1 for factor in factors.values):
            return schedule
        values = self.by_example(schedule)
        few = len(np.unique(values(self.grid))) <= MAX_STEP_VALUES
        if few and (steps := self.find_steps(values)) is not None:
            return self.as_schedule(steps.combined(factors, np.multiply))
        return Product((schedule, self.as_schedule(factors)))

    def as_schedule(self, steps: StepFunction) -> Schedule:
        """A step function as a schedule in epochs."""
        parts, boundaries = [], []
        for start, value in zip(steps.starts, map(to_seven_digits, steps.values), strict=True):
            if not parts or Constant(value) != parts[-1]:
                parts.append(Constant(value))
                # The shortest number at which a schedule changes at this very example.
                exact = int(start) / self.num_examples
                rounded = (round(exact, digits or None) for digits in range(18))
                boundaries.append(next(e for e in rounded if self._first_example(e) == start))
        return OneAfterAnother(tuple(parts), tuple(boundaries[1:])) if len(parts) > 1 else parts[0]


def _first_change(function: ExampleFunction, low: int, high: int) -> int:
    """The first example after `low` whose value differs from the value at `low`; at most `high`.

    Each round narrows the search a thousandfold, by one call for a whole block of examples. The
    function must differ between `low` and `high`.
    """
    before = function(np.array([low]))
    while high - low > 1:
        between = np.linspace(low, high, _BLOCK).astype(np.int64)
        other = np.argmax(function(between) != before)
        low, high = between[other - 1], between[other]
    return int(high)


def phase_spans(phases: Sequence[Phase]) -> list[tuple[Fraction, Fraction]]:
    """The start and end of each phase, in epochs."""
    ends = itertools.accumulate((Fraction(p.epochs) for p in phases), initial=Fraction(0))
    return list(itertools.pairwise(ends))
