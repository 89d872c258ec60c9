"""The clock of a run: from updates to epochs, inside a compiled program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

TimeFunction: TypeAlias = Callable[[ArrayLike], jax.Array]

NEVER = np.iinfo(np.int32).max  # the first update of a segment that does not come


class SegmentArrays(NamedTuple):
    """What each stretch of updates of one batch size starts with; an argument of programs."""

    steps: np.ndarray  # int32[S], the first update; `NEVER` for what fills up
    batch_sizes: np.ndarray  # uint32[S]
    epochs: np.ndarray  # uint32[S], in which the first update's first example lies
    places: np.ndarray  # uint32[S], of that example in its epoch


@dataclass(frozen=True, eq=False)
class Clock:
    """Epochs and examples at any update, exactly; `step` may be traced and of any shape.

    The segments may be traced too: a program that takes them as an argument keeps time for any
    plan, also for one that is decided while it runs.

    Attributes:
        segments: of the plan, in order.
        num_examples: N, of an epoch.
        largest_batch: no segment's batch is larger.
    """

    segments: SegmentArrays
    num_examples: int
    largest_batch: int

    def epoch_at(self, step: ArrayLike) -> jax.Array:
        """See `Plan.epoch_at`."""
        whole, examples = self._epoch_and_example(step)
        whole = whole.astype(jnp.float32)
        # The maximum is N; as a constant, XLA would multiply by a rounded 1 / N instead, and 80 of
        # 100 examples would come before epoch 0.8.
        N = jnp.maximum(examples, np.uint32(self.num_examples)).astype(jnp.float32)
        share = examples.astype(jnp.float32) / N
        # The sum may round up to an epoch that is not over yet.
        return jnp.minimum(whole + share, jnp.nextafter(whole + 1, whole))

    def is_epoch_start(self, step: ArrayLike) -> jax.Array:
        """See `Plan.is_epoch_start`."""
        step = jnp.asarray(step)
        now, _ = self._epoch_and_example(step)
        before, _ = self._epoch_and_example(jnp.maximum(step - 1, 0))
        return (now > before) | (step == 0)

    def has_reached(self, example: int) -> TimeFunction:
        """Whether an update starts at or after this example of the stream: bool."""
        wanted = self._places([example])[:, 0]
        return lambda step: _is_at_or_after(self._epoch_and_example(step), wanted)

    def reaches(self, examples: Sequence[int]) -> TimeFunction:
        """Whether an update is the first at or after any of these examples of the stream: bool."""
        places = self._places(examples)

        def is_first(step: ArrayLike) -> jax.Array:
            step = jnp.asarray(step)
            now = self._epoch_and_example(step)
            before = self._epoch_and_example(jnp.maximum(step - 1, 0))

            def is_first_at(epoch: jax.Array, place: jax.Array) -> jax.Array:
                was_there = _is_at_or_after(before, (epoch, place)) & (step > 0)
                return _is_at_or_after(now, (epoch, place)) & ~was_there

            return jax.vmap(is_first_at)(*places).any(axis=0)

        return is_first

    def ends_stretch(self, n: int, first_epoch: int) -> TimeFunction:
        """Whether an update is the last that starts in one of every n epochs; see `Plan`."""

        def ends(step: ArrayLike) -> jax.Array:
            after = jnp.asarray(step) + 1
            epoch, _ = self._epoch_and_example(after)
            return self.is_epoch_start(after) & (
                (epoch - np.uint32(first_epoch)) % np.uint32(n) == 0
            )

        return ends

    def _places(self, examples: Sequence[int]) -> np.ndarray:
        """Epoch and place in it of each example: uint32[2, n]."""
        places = [divmod(example, self.num_examples) for example in examples]
        return np.array(places, np.uint32).reshape(-1, 2).T

    def _epoch_and_example(self, step: ArrayLike) -> tuple[jax.Array, jax.Array]:
        """Whole epochs before update `step` and the place within its epoch of its first example.

        Both are uint32. The product (updates · B) overflows 32 bits in long runs, so its quotient
        by N is taken digit by digit, as on paper: B in digits of so few bits that a remainder below
        N times a digit still fits.
        """
        step = jnp.maximum(jnp.asarray(step), 0)
        steps, batch_sizes, epochs, places = map(jnp.asarray, self.segments)
        segment = jnp.searchsorted(steps, step, side="right", method="compare_all") - 1
        done = (step - steps[segment]).astype(jnp.uint32)
        batch_size = batch_sizes[segment]
        N = np.uint32(self.num_examples)
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


def _is_at_or_after(place: tuple[Any, Any], wanted: Any) -> jax.Array:
    """Whether an epoch and a place in it are those wanted, or come later."""
    return (place[0] > wanted[0]) | ((place[0] == wanted[0]) & (place[1] >= wanted[1]))
