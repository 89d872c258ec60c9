"""Schedules as functions of the examples seen, and where they change, to the example."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from jaxsched.plan import Phase, Plan
from jaxsched.schedules import Constant, Product, Schedule
from jaxsched.schedules import Sequence as OneAfterAnother
from jaxsched.text import to_seven_digits

ExampleFunction: TypeAlias = Callable[[np.ndarray], np.ndarray]

# What takes no more values than this over a run goes in steps.
FEW = 8
# What changes more often is not followed from change to change.
MAX_CHANGES = 128
# Schedules are looked at in blocks of one size, so that JAX compiles each operation once.
_BLOCK = 1024
_CELLS_AN_EPOCH = 64
_MAX_CELLS = 64 * _BLOCK


class StepFunction(NamedTuple):
    """A function of the examples seen that changes at a few of them."""

    starts: np.ndarray  # i64[n], the first is 0
    values: np.ndarray  # [n]

    @classmethod
    def of(cls, changes: Iterable[tuple[int, Any]]) -> "StepFunction":
        """From pairs of the first example and the value from there on."""
        starts, values = zip(*changes, strict=True)
        return cls(np.array(starts), np.array(values))

    def __call__(self, examples: np.ndarray) -> np.ndarray:
        """The values at these examples."""
        return self.values[np.searchsorted(self.starts, examples, side="right") - 1]

    def combined(
        self, other: "StepFunction", operation: Callable[..., np.ndarray]
    ) -> "StepFunction":
        """The operation on both, which changes where either does."""
        starts = np.union1d(self.starts, other.starts)
        return StepFunction(starts, operation(self(starts), other(starts)))


class ExampleTimeline:
    """The examples of a run and its schedules as functions of them, on the plan's own clock."""

    def __init__(self, plan: Plan):
        self.phases = plan.phases
        self.num_examples = plan.num_examples
        self.length = round(sum(Fraction(p.epochs) for p in plan.phases) * plan.num_examples)

    def epochs(self, examples: ArrayLike) -> np.ndarray:
        """The twin of `Plan.epoch_at`, float32, for an update that starts at an example."""
        whole, place = np.divmod(np.asarray(examples, np.int64), self.num_examples)
        share = place.astype(np.float32) / np.float32(self.num_examples)
        whole = whole.astype(np.float32)
        return np.minimum(whole + share, np.nextafter(whole + 1, whole))

    def values(self, schedule: Schedule) -> ExampleFunction:
        """A schedule in epochs as a function of examples, float64[n]."""

        def values(examples: np.ndarray) -> np.ndarray:
            clock = self.epochs(examples)
            blocks = np.pad(clock, (0, -len(clock) % _BLOCK), mode="edge").reshape(-1, _BLOCK)
            return np.concatenate([np.asarray(schedule(b), float) for b in blocks])[: len(clock)]

        return values

    @cached_property
    def grid(self) -> np.ndarray:
        """The examples between which one change is looked for, from the first to the last."""
        epochs = self.length / self.num_examples
        cells = min(max(_BLOCK, round(_CELLS_AN_EPOCH * epochs)), _MAX_CELLS)
        return np.unique(np.linspace(0, self.length - 1, cells + 1).astype(np.int64))

    @cached_property
    def batch_size(self) -> StepFunction:
        """The plan's batch size; it changes with the clock, as the learning rate does."""
        starts = [0]
        for _, end in spans(self.phases[:-1]):
            end = round(end * self.num_examples)
            clock = self.epochs(end)
            before = max(starts[-1], end - self.num_examples)
            starts.append(_first_change(lambda e, c=clock: self.epochs(e) >= c, before, end))
        return StepFunction(np.array(starts), np.array([phase.batch_size for phase in self.phases]))

    def steps(self, value: ExampleFunction) -> StepFunction | None:
        """A function of examples by its changes; None if there are more than `MAX_CHANGES`."""
        changes = list(itertools.islice(self._changes(value), MAX_CHANGES + 2))
        return StepFunction.of(changes) if len(changes) <= MAX_CHANGES + 1 else None

    def _changes(self, value: ExampleFunction) -> Iterator[tuple[int, Any]]:
        """Each example at which a function of them changes, and its value from there on."""
        on_grid = value(self.grid)
        yield 0, on_grid[0]
        for cell in np.flatnonzero(on_grid[1:] != on_grid[:-1]):
            example, end = self.grid[cell : cell + 2]
            now = on_grid[cell]
            while now != on_grid[cell + 1]:
                example = _first_change(value, example, end)
                now = value(np.array([example]))[0]
                yield example, now

    def phases_of(self, batch_size: StepFunction) -> tuple[Phase, ...]:
        """The phases whose batch sizes change at these examples.

        Their epochs are the shortest numbers from which the plan finds the same examples again.
        """
        phases: list[Phase] = []
        done = Fraction(0)
        ends = [*batch_size.starts[1:].tolist(), self.length]
        for end, size in zip(ends, batch_size.values.tolist(), strict=True):
            left = Fraction(end, self.num_examples) - done
            rounded = (round(float(left), digits or None) for digits in range(18))
            epochs = next(
                e for e in rounded if round((done + Fraction(e)) * self.num_examples) == end
            )
            done += Fraction(epochs)
            phases.append(Phase(epochs, size))
        return tuple(phases)

    def scaled(self, schedule: Schedule, factors: StepFunction) -> Schedule:
        """The schedule times the factors, by its values where these are few."""
        if all(to_seven_digits(factor) == 1 for factor in factors.values):
            return schedule
        values = self.values(schedule)
        few = len(np.unique(values(self.grid))) <= FEW
        if few and (steps := self.steps(values)) is not None:
            return self._in_parts(steps.combined(factors, np.multiply))
        return Product((schedule, self._in_parts(factors)))

    def _in_parts(self, steps: StepFunction) -> Schedule:
        """Steps as a schedule in epochs."""
        parts, boundaries = [], []
        for start, value in zip(steps.starts, map(to_seven_digits, steps.values), strict=True):
            if not parts or Constant(value) != parts[-1]:
                parts.append(Constant(value))
                # The shortest number that is this clock in float32.
                epochs = float(str(self.epochs(start)))
                boundaries.append(int(epochs) if epochs.is_integer() else epochs)
        return OneAfterAnother(tuple(parts), tuple(boundaries[1:])) if len(parts) > 1 else parts[0]


def _first_change(value: ExampleFunction, low: int, high: int) -> int:
    """The first example after `low` with another value than it; `high` has another."""
    before = value(np.array([low]))
    while high - low > 1:
        between = np.linspace(low, high, _BLOCK).astype(np.int64)
        other = np.argmax(value(between) != before)
        low, high = between[other - 1], between[other]
    return int(high)


def spans(phases: Sequence[Phase]) -> list[tuple[Fraction, Fraction]]:
    """Begin and end of each phase, in epochs."""
    ends = itertools.accumulate((Fraction(p.epochs) for p in phases), initial=Fraction(0))
    return list(itertools.pairwise(ends))
