"""The clock of a run: converts updates to epochs inside a compiled program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.long_division import divide_product
from jaxsched.schedules.arithmetic.moment import Count
from jaxsched.schedules.arithmetic.times import is_known, namespace

TimeFunction: TypeAlias = Callable[[ArrayLike], jax.Array]

NEVER = np.iinfo(np.int32).max  # the first update of a padding segment


class SegmentArrays(NamedTuple):
    """The plan's segments, stretches of updates with one batch size, as arrays for a program."""

    steps: np.ndarray  # int32[S], the first update; `NEVER` for padding
    batch_sizes: np.ndarray  # uint32[S]
    epochs: np.ndarray  # uint32[S], the epoch of the first update's first example
    places: np.ndarray  # uint32[S], the position of that example in its epoch


@dataclass(frozen=True, eq=False)
class Clock:
    """Converts update counts to epochs and examples exactly; `step` may be traced and of any shape.

    The segments may be traced too. A program that takes them as an argument keeps time for any
    plan, even for one that is decided while the program runs.

    Attributes:
        segments: the plan's segments, in order.
        num_examples: N, the number of examples in an epoch.
        largest_batch: an upper bound on the batch size of every segment.
    """

    segments: SegmentArrays
    num_examples: int
    largest_batch: int

    def epoch_at(self, step: ArrayLike) -> jax.Array:
        """Returns the epochs done after `step` updates; see `Plan.epoch_at`."""
        whole, examples = self._epoch_and_example(step)
        xp, word = namespace(whole), whole.dtype.type
        whole = whole.astype(np.float32)
        # The maximum is always N, but computed: XLA replaces a division by a constant N with a
        # multiplication by a rounded 1 / N, and then 80 of 100 examples come before epoch 0.8.
        N = xp.maximum(examples, word(self.num_examples)).astype(np.float32)
        share = examples.astype(np.float32) / N
        # The sum may round up to the end of an epoch that is not over yet.
        return xp.minimum(whole + share, xp.nextafter(whole + 1, whole))

    def moment(self, step: ArrayLike) -> Count:
        """Returns the time after `step` updates, in epochs, as exact as the examples are."""
        epoch, example = self._epoch_and_example(step)
        signed = np.dtype(f"int{8 * epoch.dtype.itemsize}")
        return Count(epoch.astype(signed), example.astype(signed), self.num_examples)

    def is_epoch_start(self, step: ArrayLike) -> jax.Array:
        """Returns whether the next update is the first in its epoch; see `Plan.is_epoch_start`."""
        step = self._as_count(step)
        now, _ = self._epoch_and_example(step)
        before, _ = self._epoch_and_example(step - 1)
        return (now > before) | (step == 0)

    def has_reached(self, example: int) -> TimeFunction:
        """Returns the predicate that is true at every update at or after this example."""
        return partial(self._has_reached, divmod(example, self.num_examples))

    def reaches(self, examples: Sequence[int]) -> TimeFunction:
        """Returns the predicate that is true at the first update at or after each example."""
        places = [divmod(example, self.num_examples) for example in examples]
        return partial(self._is_first, np.array(places, np.uint32).reshape(-1, 2))

    def ends_stretch(self, n: int, first_epoch: int) -> TimeFunction:
        """Returns the predicate that is true at the last update of every n epochs.

        Epochs are counted from `first_epoch`; see `Plan.every_epochs`.
        """
        return partial(self._ends_stretch, n, first_epoch)

    # The predicates are partial applications of methods rather than closures, so they pickle.

    def _has_reached(self, place: tuple[int, int], step: ArrayLike) -> jax.Array:
        now = self._epoch_and_example(step)
        return _is_at_or_after(now, [now[0].dtype.type(number) for number in place])

    def _is_first(self, places: np.ndarray, step: ArrayLike) -> jax.Array:
        count = self._as_count(step)
        now, before = self._epoch_and_example(count), self._epoch_and_example(count - 1)
        now, before = ([number[..., None] for number in place] for place in (now, before))
        marks = places.T.reshape(2, *(1,) * count.ndim, -1).astype(now[0].dtype)
        was_reached = _is_at_or_after(before, marks) & (count > 0)[..., None]
        return (_is_at_or_after(now, marks) & ~was_reached).any(axis=-1)

    def _ends_stretch(self, n: int, first_epoch: int, step: ArrayLike) -> jax.Array:
        after = self._as_count(step) + 1
        epoch, _ = self._epoch_and_example(after)
        word = epoch.dtype.type
        return self.is_epoch_start(after) & ((epoch - word(first_epoch)) % word(n) == 0)

    def _as_count(self, step: ArrayLike) -> Any:
        """Converts an update count to an array: of NumPy if it and the segments are known."""
        if is_known(step, *self.segments):
            return np.asarray(step, np.int64)[()]
        return jnp.asarray(step)

    def _epoch_and_example(self, step: ArrayLike) -> tuple[jax.Array, jax.Array]:
        """Returns the epoch in which update `step` starts, and the position in it.

        Both are unsigned. The product (updates · B) overflows 32 bits in long runs, so it is
        divided by N digit by digit.
        """
        count = self._as_count(step)
        xp, word = namespace(count), np.uint64 if is_known(count) else np.uint32
        count = xp.maximum(count, 0)
        steps, *columns = map(xp.asarray, self.segments)
        batch_sizes, epochs, places = (column.astype(word) for column in columns)
        steps = steps.astype(count.dtype)
        segment = (count[..., None] >= steps.reshape((1,) * count.ndim + (-1,))).sum(-1) - 1
        done = (count - steps[segment]).astype(word)
        N = self.num_examples
        quotient, remainder = divide_product(done, batch_sizes[segment], N, self.largest_batch)
        example = places[segment] + remainder
        return epochs[segment] + quotient + (example >= N).astype(word), example % word(N)


def _is_at_or_after(place: Any, other: Any) -> Any:
    """Returns whether an (epoch, position) is at or after another one."""
    return (place[0] > other[0]) | ((place[0] == other[0]) & (place[1] >= other[1]))
