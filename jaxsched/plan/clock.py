"""The clock of a run: converts updates to epochs inside a compiled program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

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
        whole = whole.astype(jnp.float32)
        # The maximum is always N, but computed: XLA replaces a division by a constant N with a
        # multiplication by a rounded 1 / N, and then 80 of 100 examples come before epoch 0.8.
        N = jnp.maximum(examples, np.uint32(self.num_examples)).astype(jnp.float32)
        share = examples.astype(jnp.float32) / N
        # The sum may round up to the end of an epoch that is not over yet.
        return jnp.minimum(whole + share, jnp.nextafter(whole + 1, whole))

    def is_epoch_start(self, step: ArrayLike) -> jax.Array:
        """Returns whether the next update is the first in its epoch; see `Plan.is_epoch_start`."""
        step = jnp.asarray(step)
        now, _ = self._epoch_and_example(step)
        before, _ = self._epoch_and_example(jnp.maximum(step - 1, 0))
        return (now > before) | (step == 0)

    def has_reached(self, example: int) -> TimeFunction:
        """Returns the predicate that is true at every update at or after this example."""
        place = self._places([example])[:, 0]
        return lambda step: _is_at_or_after(self._epoch_and_example(step), place)

    def reaches(self, examples: Sequence[int]) -> TimeFunction:
        """Returns the predicate that is true at the first update at or after each example."""
        places = self._places(examples)

        def is_first(step: ArrayLike) -> jax.Array:
            step = jnp.asarray(step)
            now = self._epoch_and_example(step)
            before = self._epoch_and_example(jnp.maximum(step - 1, 0))

            def is_first_at(epoch: jax.Array, place: jax.Array) -> jax.Array:
                was_reached = _is_at_or_after(before, (epoch, place)) & (step > 0)
                return _is_at_or_after(now, (epoch, place)) & ~was_reached

            return jax.vmap(is_first_at)(*places).any(axis=0)

        return is_first

    def ends_stretch(self, n: int, first_epoch: int) -> TimeFunction:
        """Returns the predicate that is true at the last update of every n epochs.

        Epochs are counted from `first_epoch`; see `Plan.every_epochs`.
        """

        def is_last(step: ArrayLike) -> jax.Array:
            after = jnp.asarray(step) + 1
            epoch, _ = self._epoch_and_example(after)
            return self.is_epoch_start(after) & (
                (epoch - np.uint32(first_epoch)) % np.uint32(n) == 0
            )

        return is_last

    def _places(self, examples: Sequence[int]) -> np.ndarray:
        """Returns each example's epoch and position in it: uint32[2, n]."""
        places = [divmod(example, self.num_examples) for example in examples]
        return np.array(places, np.uint32).reshape(-1, 2).T

    def _epoch_and_example(self, step: ArrayLike) -> tuple[jax.Array, jax.Array]:
        """Returns the epoch in which update `step` starts, and the position in it.

        Both are uint32. The product (updates · B) overflows 32 bits in long runs, so its quotient
        by N is computed digit by digit, as in long division on paper: B is split into digits of so
        few bits that a remainder below N times a digit still fits.
        """
        step = jnp.maximum(jnp.asarray(step), 0)
        steps, batch_sizes, epochs, places = map(jnp.asarray, self.segments)
        segment = jnp.searchsorted(steps, step, side="right", method="compare_all") - 1
        done = (step - steps[segment]).astype(jnp.uint32)
        batch_size = batch_sizes[segment]
        N = np.uint32(self.num_examples)
        # A remainder (below N) shifted by one digit plus a product below N · 2^bits fits in uint32.
        digit_bits = 31 - self.num_examples.bit_length()
        num_digits = -(-self.largest_batch.bit_length() // digit_bits)
        quotient = remainder = jnp.zeros_like(done)
        for place in reversed(range(num_digits)):
            digit = (batch_size >> np.uint32(place * digit_bits)) & np.uint32(2**digit_bits - 1)
            value = (remainder << np.uint32(digit_bits)) + (done % N) * digit
            quotient = (quotient << np.uint32(digit_bits)) + value // N
            remainder = value % N
        example = places[segment] + remainder
        epoch = epochs[segment] + (done // N) * batch_size + quotient
        return epoch + (example >= N), example % N


def _is_at_or_after(place: tuple[Any, Any], other: Any) -> jax.Array:
    """Returns whether an (epoch, position) is at or after another one."""
    return (place[0] > other[0]) | ((place[0] == other[0]) & (place[1] >= other[1]))
