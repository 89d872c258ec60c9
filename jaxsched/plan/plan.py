"""The plan of a run: the exact arithmetic between updates, examples and epochs."""

import dataclasses
import math
import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxsched.plan.clock import NEVER, Clock, SegmentArrays, TimeFunction
from jaxsched.schedules import Schedule
from jaxsched.schedules.arithmetic.moment import first_count
from jaxsched.schedules.base import Time
from jaxsched.schedules.resolve import resolve
from jaxsched.schedules.units import Duration, as_duration

# The traced arithmetic keeps numbers below N in uint32 and needs two bits to spare.
_MAX_EXAMPLES = 2**30 - 1
_MAX_STEPS = NEVER - 1
# A schedule that ends this share of its length after the run is meant to end with it.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one batch size.

    Attributes:
        epochs: its length in passes over the training data; may be a fraction.
        batch_size: the number of examples in an update, over all devices together.

    Raises:
        ValueError: if either is not above zero.

    Example:
        >>> import jaxsched as js
        >>> js.Phase(epochs=60, batch_size=128)
        Phase(epochs=60, batch_size=128)
    """

    epochs: float
    batch_size: int

    def __post_init__(self):
        if not (_is_real(self.epochs) and 0 < self.epochs < math.inf):
            raise ValueError(f"Phase needs finite epochs above 0, got epochs={self.epochs!r}.")
        require_whole("Phase", "batch_size", self.batch_size)


class Segment(NamedTuple):
    """A phase of a plan, measured in updates and examples."""

    start_step: int  # the first update of the phase
    end_step: int  # one past its last update
    start_example: int  # position in the endless data of the first update's first example
    batch_size: int


@dataclass(frozen=True)
class Plan:
    """The plan of a run: which examples each update trains on, in updates, examples and epochs.

    The training data is one endless sequence: epoch after epoch, each its own permutation of the N
    examples. An update takes the next B examples of it. A batch may straddle two epochs, so no
    example is dropped and no batch is ragged. A phase ends before the first update that would start
    at or after the phase's end in examples.

    Formula:
        examples(step) = B₁s₁ + B₂s₂ + …     (sᵢ updates done in phase i)
        epoch(step)    = examples(step) / N

    Attributes:
        phases: the phases, in order.
        num_examples: N, the size of the training set.

    Raises:
        ValueError: if there is no phase, N is below 1 or 2³⁰ or more, or a batch is larger than the
            training set.

    Source:
        The update counts of Smith et al., "Don't decay the learning rate, increase the batch size"
        (arXiv 1711.00489), figure 5.

    Example:
        >>> import jaxsched as js
        >>> js.Plan((js.Phase(200, 128),), num_examples=50_000).total_steps
        78125
        >>> phases = (js.Phase(60, 128), js.Phase(60, 640), js.Phase(40, 3200), js.Phase(40, 5120))
        >>> plan = js.Plan(phases, num_examples=50_000)
        >>> plan.total_steps, plan.examples_at(23_438), plan.batch_size_at(23_438)
        (29142, 3000064, 640)
    """

    phases: tuple[Phase, ...]
    num_examples: int

    def __post_init__(self):
        phases = tuple(self.phases) if isinstance(self.phases, list) else self.phases
        object.__setattr__(self, "phases", phases)
        if not (isinstance(phases, tuple) and all(isinstance(p, Phase) for p in phases)):
            raise ValueError(f"Plan needs a tuple of phases, (Phase(…), …), got {phases!r}.")
        if not phases:
            raise ValueError("Plan needs at least one phase, got none; give phases=(Phase(…),).")
        require_whole("Plan", "num_examples", self.num_examples)
        if self.num_examples > _MAX_EXAMPLES:
            raise ValueError(
                "Plan needs 1 to 2**30 - 1 training examples, got "
                f"num_examples={self.num_examples}."
            )
        for phase in self.phases:
            if phase.batch_size > self.num_examples:
                raise ValueError(
                    f"Plan needs batches no larger than the training set, got {phase} with "
                    f"num_examples={self.num_examples}; use batch_size={self.num_examples} or less."
                )
        if not self.segments:
            raise ValueError(
                f"Plan needs phases long enough for one update, got {self.phases} with "
                f"num_examples={self.num_examples}; give more epochs."
            )
        if self.total_steps > _MAX_STEPS:
            raise ValueError(
                f"Plan needs at most 2**31 - 2 updates, got {self.total_steps:.6g} from "
                f"{self.total_epochs:.6g} epochs; give fewer epochs or larger batches."
            )

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The phases in updates and examples, without those that are too short for one update."""
        # Fractions, because rounded sums and quotients could move a phase's end by one update.
        segments, step, example, epochs = [], 0, 0, Fraction(0)
        for phase in self.phases:
            epochs += Fraction(phase.epochs)
            left = round(epochs * self.num_examples) - example
            updates = math.ceil(Fraction(left, phase.batch_size))
            if updates > 0:
                segments.append(Segment(step, step + updates, example, phase.batch_size))
                step += updates
                example += updates * phase.batch_size
        return tuple(segments)

    @property
    def total_steps(self) -> int:
        """The number of updates in the whole run."""
        return self.segments[-1].end_step

    @property
    def total_epochs(self) -> float:
        """The sum of the phases' epochs; the last update may read a little past it."""
        return float(self._total_epochs)

    @property
    def _total_epochs(self) -> Fraction:
        return sum((Fraction(phase.epochs) for phase in self.phases), Fraction(0))

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The distinct batch sizes, in order of first use."""
        return tuple(dict.fromkeys(s.batch_size for s in self.segments))

    def _segment(self, step: int) -> Segment:
        """Returns the segment of the update after `step` updates; the last one after the end."""
        if step < 0:
            raise ValueError(f"a step is the number of updates done, at least 0, got {step}.")
        return next((s for s in self.segments if step < s.end_step), self.segments[-1])

    def examples_at(self, step: int) -> int:
        """Returns the number of examples that the first `step` updates read.

        It is also the position in the data of the first example of the next update.
        """
        segment = self._segment(step)
        return segment.start_example + (step - segment.start_step) * segment.batch_size

    def step_at(self, example: int) -> int:
        """Returns the first update that starts at or after this example of the data.

        Example:
            >>> import jaxsched as js
            >>> js.Plan((js.Phase(2, 128),), num_examples=1000).step_at(1000)
            8
        """
        started = [s for s in self.segments if s.start_example < example]
        if not started:
            return 0
        segment = started[-1]
        updates = math.ceil(Fraction(example - segment.start_example, segment.batch_size))
        return segment.start_step + updates

    def first_step(self, time: Time) -> int:
        """Returns the first update that starts at or after a time.

        Args:
            time: a number of epochs, or text with a unit, see `resolve`.

        Raises:
            ValueError: if the time cannot be read, is negative, or is a fraction of an update.

        Example:
            >>> import jaxsched as js
            >>> plan = js.Plan((js.Phase(20, 100),), num_examples=1000)
            >>> plan.first_step(1.25), plan.first_step("85%"), plan.first_step("7 updates")
            (13, 170, 7)
        """
        return self.step_at(self._in_examples(time))

    def place_at(self, step: int) -> tuple[int, int]:
        """Returns the epoch in which the update after `step` updates starts, and where in it.

        The second number is the position of the update's first example in the epoch.
        """
        return divmod(self.examples_at(step), self.num_examples)

    def next_boundary(self, step: int) -> int:
        """Returns the next update after `step` that begins an epoch or a phase, or ends the run.

        All updates from `step` up to it share one epoch and one batch size.

        Example:
            >>> import jaxsched as js
            >>> plan = js.Plan((js.Phase(1.5, 100), js.Phase(1, 50)), num_examples=1000)
            >>> plan.next_boundary(0), plan.next_boundary(10), plan.next_boundary(15)
            (10, 15, 25)
        """
        epoch, _ = self.place_at(step)
        next_epoch = self.step_at((epoch + 1) * self.num_examples)
        return min(next_epoch, self._segment(step).end_step)

    def batch_size_at(self, step: int) -> int:
        """Returns the batch size of the update that follows `step` updates."""
        return self._segment(step).batch_size

    def epoch_at(self, step: ArrayLike) -> jax.Array:
        """Returns the epochs done after `step` updates: float32, of the shape of `step`.

        Whole epochs are exact however long the run is, because the quotient is computed in
        integers: the value reaches n at the very update that starts at or after the end of epoch n,
        so a schedule in epochs changes when it should. After the end the clock continues at the
        last batch size. `step` may be traced.
        """
        return self.clock.epoch_at(step)

    def is_epoch_start(self, step: ArrayLike) -> jax.Array:
        """Returns whether the update after `step` updates is the first of its epoch: bool.

        The parameters that this update receives are the weights at the end of the epoch before.
        True at 0. Usable as the `at` of a transformation; `step` may be traced and of any shape.
        """
        return self.clock.is_epoch_start(step)

    def has_reached(self, time: Time) -> TimeFunction:
        """Returns the predicate that is true at every update that starts at or after a time.

        The predicate takes and returns arrays of any shape.

        Args:
            time: a number of epochs, or text with a unit, see `resolve`.

        Raises:
            ValueError: if the time cannot be read, is negative, or is a fraction of an update.
        """
        return self.clock.has_reached(self._in_examples(time))

    def reaches(self, time: Time) -> TimeFunction:
        """Returns the predicate that is true only at the first update at or after a time.

        The predicate takes and returns arrays of any shape.

        Args:
            time: a number of epochs, or text with a unit, see `resolve`.

        Raises:
            ValueError: if the time cannot be read, is negative, or is a fraction of an update.

        Example:
            >>> import jax.numpy as jnp, jaxsched as js
            >>> plan = js.Plan((js.Phase(20, 100),), num_examples=1000)
            >>> steps = jnp.arange(plan.total_steps)
            >>> steps[plan.reaches(1.25)(steps)], steps[plan.reaches("7 updates")(steps)]
            (Array([13], dtype=int32), Array([7], dtype=int32))
        """
        return self.clock.reaches((self._in_examples(time),))

    def every_epochs(self, n: int, start: Time = 0) -> TimeFunction:
        """Returns the predicate that is true at the last update of every `n` epochs.

        Such an update makes the weights at the end of an epoch. Epochs are counted from the one in
        which `start` lies, and updates before `start` are never true. The predicate takes and
        returns arrays of any shape.

        Example:
            >>> import jax.numpy as jnp, jaxsched as js
            >>> plan = js.Plan((js.Phase(20, 100),), num_examples=1000)
            >>> steps = jnp.arange(plan.total_steps)
            >>> steps[plan.every_epochs(2, start=15)(steps)]
            Array([169, 189], dtype=int32)
        """
        require_whole("every_epochs", "n", n)
        ends_stretch = self.clock.ends_stretch(n, self._in_examples(start) // self.num_examples)
        has_started = self.has_reached(start)
        return partial(_both, has_started, ends_stretch)

    def schedule(self, value_of_epoch: TimeFunction) -> TimeFunction:
        """Converts a schedule in epochs to one in updates, as Optax expects it.

        Times with a unit of their own are resolved, see `resolve`. A boundary comes at the update
        that `first_step` names, exactly, eagerly and under jit. A schedule that the run cuts off
        is said in a warning, see `misfits`.

        Raises:
            ValueError: as `resolve` does.

        Example:
            >>> import jaxsched as js
            >>> plan = js.Plan((js.Phase(50, 100),), num_examples=1000)
            >>> lr = plan.schedule(js.MultiStep(1.0, milestones=("50%",)))
            >>> [round(float(lr(step)), 6) for step in (249, 250)]
            [1.0, 0.1]
        """
        if isinstance(value_of_epoch, Schedule):
            value_of_epoch = self.resolve(value_of_epoch)
            if self._outlasts(value_of_epoch.span().end):
                warnings.warn(self.misfits(value_of_epoch)[0], stacklevel=2)
        return self.in_updates(value_of_epoch)

    def in_updates(self, value_of_epoch: TimeFunction) -> TimeFunction:
        """Returns what `schedule` does, for callers that say the misfits in their own way."""
        if isinstance(value_of_epoch, Schedule):
            return partial(self._value_at, self.resolve(value_of_epoch))
        return partial(self._value_of_epoch, value_of_epoch)

    def _value_at(self, schedule: Schedule, step: ArrayLike) -> jax.Array:
        moment = self.clock.moment(step if schedule.is_known else jnp.asarray(step))
        return schedule.value_at(moment)

    def _value_of_epoch(self, value_of_epoch: TimeFunction, step: ArrayLike) -> jax.Array:
        return value_of_epoch(self.epoch_at(step))

    def resolve(self, schedule: Schedule) -> Schedule:
        """Returns the schedule with every time converted to epochs.

        A time may be text with a unit: "5 epochs", "500 updates", "1e6 examples" or "30%", a share
        of the run. Updates are counted from the start of the run, at the batch sizes that the plan
        has there.

        Raises:
            ValueError: if a time cannot be read, is negative, or is a fraction of an update, or if
                a warm-up does not end within the run.

        Example:
            >>> import jaxsched as js
            >>> plan = js.Plan((js.Phase(50, 100),), num_examples=1000)
            >>> plan.resolve(js.Warmup(js.Cosine(0.1, "100%"), duration="25 updates"))
            Warmup(schedule=Cosine(peak=0.1, duration=50.0, end=0.0), duration=2.5, start=0.0)
        """
        resolved = resolve(schedule, lambda time: float(self._in_epochs(time)))
        warm = resolved.span().warm
        if warm > self.total_epochs:
            raise ValueError(
                f"a warm-up must end within the run, which is {self.total_epochs:g} epochs long, "
                f"got one of {warm:g} epochs in {schedule!r}; shorten it. Bare numbers are epochs; "
                "write '500 updates' for updates."
            )
        return resolved

    def misfits(self, schedule: Schedule) -> tuple[str, ...]:
        """Returns sentences that say how a schedule does not fit the run; mostly there are none.

        Such a schedule may be meant, for a short trial of a longer recipe for instance. More often
        updates were given where epochs were meant. A time may have a unit, see `resolve`.

        Raises:
            ValueError: as `resolve` does.

        Example:
            >>> import jaxsched as js
            >>> plan = js.Plan((js.Phase(20, 100),), num_examples=1000)
            >>> plan.misfits(js.Cosine(0.1, duration=934))
            ('Cosine goes on until epoch 934, but the run ends at epoch 20.',)
            >>> plan.misfits(js.Cosine(0.1, duration="100%"))
            ()
        """
        name, resolved = type(schedule).__name__, self.resolve(schedule)
        end, total = resolved.span().end, self.total_epochs
        found = []
        if self._outlasts(end):
            found.append(
                f"{name} goes on until epoch {end:g}, but the run ends at epoch {total:g}."
            )
        elif end < total / 2:
            found.append(
                f"{name} is over at epoch {end:g}, and the run goes on to epoch {total:g}."
            )
        return (*found, *resolved.misfits(total))

    def _outlasts(self, end: float) -> bool:
        """Returns whether a schedule with this end is cut off by the end of the run."""
        return self.total_epochs < end * (1 - _TOLERANCE) and end < math.inf

    def _first_example(self, epochs: Fraction) -> int:
        """Returns the first example at or after a time, a position in the endless data."""
        return int(first_count(float(epochs * self.num_examples)))

    def _in_epochs(self, time: Duration) -> Fraction:
        """Converts a time with a unit to epochs."""
        if time.amount < 0 or (time.unit == "update" and time.amount % 1):
            raise ValueError(
                "expected a time of at least 0, and whole updates, got "
                f"{time.amount:g} {time.unit}."
            )
        if time.unit == "update":
            return Fraction(self.examples_at(int(time.amount)), self.num_examples)
        epochs = {
            "epoch": Fraction(1),
            "example": Fraction(1, self.num_examples),
            # Of the whole examples that the run has, so that "100%" is its very end.
            "%": Fraction(round(self._total_epochs * self.num_examples), 100 * self.num_examples),
        }
        return Fraction(time.amount) * epochs[time.unit]

    def _in_examples(self, time: Time) -> int:
        """Converts a time to a position in the data; an update's is that of its first example."""
        return self._first_example(self._in_epochs(as_duration(time)))

    @cached_property
    def clock(self) -> Clock:
        """The clock that a compiled program uses."""
        return Clock(self.arrays(len(self.segments)), self.num_examples, max(self.batch_sizes))

    def with_clock(self, clock: Clock) -> "Plan":
        """Returns this plan with another clock behind its predicates and schedules.

        The clock is that of a run whose batch sizes are decided while it trains. Times in epochs
        and shares of the run are still this plan's: they hold, because such a run trains for as
        many epochs.
        """
        plan = dataclasses.replace(self)
        plan.__dict__["clock"] = clock  # the cache of the cached_property `clock`
        return plan

    def arrays(self, length: int) -> SegmentArrays:
        """Returns the segments as arrays, padded to `length` with segments that never begin."""
        places = [divmod(s.start_example, self.num_examples) for s in self.segments]
        rows = [
            (segment.start_step, segment.batch_size, *place)
            for segment, place in zip(self.segments, places, strict=True)
        ]
        rows += [(NEVER, 1, 0, 0)] * (length - len(rows))
        steps, *others = np.array(rows, np.int64).T
        return SegmentArrays(steps.astype(np.int32), *(part.astype(np.uint32) for part in others))


def every(n: int) -> TimeFunction:
    """Returns the predicate that is true at updates n, 2n, 3n, …, and not at 0.

    Use it for the `at` of a transformation in your own Optax chain: `every(steps_per_epoch)` is
    true at the first update of each epoch but the first. The predicate takes and returns arrays of
    any shape.

    Raises:
        ValueError: if n is below 1 or not whole. An epoch of 390.625 updates has no fixed length;
            a `Plan` finds its end: `plan.is_epoch_start`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.every(2)(jnp.arange(5))
        Array([False, False,  True, False,  True], dtype=bool)
    """
    advice = "where an epoch is no whole number of updates, use Plan.is_epoch_start."
    require_whole("every", "n", n, advice)
    return partial(_is_multiple, int(n))


def _is_multiple(n: int, step: ArrayLike) -> jax.Array:
    step = jnp.asarray(step)
    return (step > 0) & (step % n == 0)


def _both(first: TimeFunction, second: TimeFunction, step: ArrayLike) -> jax.Array:
    return first(step) & second(step)


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)


def require_whole(owner: str, name: str, count: Any, advice: str = "") -> None:
    """Raises `ValueError` if a count is not a whole number of at least 1."""
    if not (_is_real(count) and math.isfinite(count) and int(count) == count and count >= 1):
        end = f"; {advice}" if advice else "."
        raise ValueError(f"{owner} needs a whole {name} of at least 1, got {name}={count!r}{end}")
