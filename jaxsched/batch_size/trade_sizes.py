"""The batch sizes of a trade: the ideal one at every example, and the allowed one that is used."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from jaxsched.batch_size.example_time import (
    MAX_CHANGES,
    MAX_STEP_VALUES,
    ExampleFunction,
    ExampleTimeline,
    StepFunction,
)
from jaxsched.batch_size.trade_noise import Hyperparams, KeptNoise

# Float32 numbers, and products of a few of them, are exact to this relative error.
_TOLERANCE = 1e-6


def first_batch_size(
    timeline: ExampleTimeline,
    noise: KeptNoise,
    lr_factor: float,
    momentum_factor: float,
    multiple_of: int,
) -> int:
    """The batch size to start with, at `lr_factor` times the learning rate.

    Args:
        timeline: the reference's.
        noise: the noise to keep.
        lr_factor: a factor of the learning rate.
        momentum_factor: (1 − new momentum) / (1 − momentum).
        multiple_of: what every batch size must be a multiple of.

    Raises:
        ValueError: when the size is not whole, no multiple, or larger than the training set; the
            message names the nearest that works.
    """
    if not 0 < lr_factor < math.inf:
        raise ValueError(f"trade needs a finite lr_factor above 0, got {lr_factor}.")
    if int(multiple_of) != multiple_of or multiple_of < 1:
        raise ValueError(f"trade needs a whole multiple_of of at least 1, got {multiple_of}.")
    size = timeline.batch_size.values[0] * lr_factor ** (1 / noise.power) / momentum_factor
    first = round(size / multiple_of) * multiple_of
    if not math.isclose(size, first, rel_tol=_TOLERANCE):
        below = math.floor(size / multiple_of) * multiple_of
        nearest = [near for near in (below, below + multiple_of) if near > 0]
        factors = [f"{lr_factor * (near / size) ** noise.power:.9g}" for near in nearest]
        raise ValueError(
            f"trade needs a first batch that is whole and a multiple of {multiple_of}, got "
            f"{size:.9g}; the nearest are {' and '.join(map(str, nearest))}, by lr_factor="
            f"{' or '.join(factors)}."
        )
    if max(first, *timeline.batch_size.values) > timeline.num_examples:
        raise ValueError(
            f"trade needs batches no larger than the training set of {timeline.num_examples} "
            f"examples, got a first batch of {first} where the reference has "
            f"{timeline.batch_size.values[0]}; use a smaller lr_factor, new_momentum or "
            "batch_size."
        )
    return first


def ideal_batch_size(
    reference: Hyperparams, noise: KeptNoise, first: StepFunction
) -> ExampleFunction:
    """The batch size that would take over the whole decay, as a function of examples.

    `first` is the size without any decay.

    Formula:
        first · L(t)^growth,   L(t) = max over s ≤ t of q(s) / q(t)

    where q is the noise without momentum and the maximum is taken over the timeline's grid.
    """
    timeline = ExampleTimeline(reference.plan)

    def noise_without_momentum(examples: np.ndarray) -> np.ndarray:
        at_unit_lr = noise.at_unit_lr(timeline.batch_size(examples), timeline.num_examples)
        return timeline.by_example(reference.lr)(examples) * at_unit_lr

    highest_so_far = np.maximum.accumulate(noise_without_momentum(timeline.grid))

    def ideal(examples: np.ndarray) -> np.ndarray:
        now = noise_without_momentum(examples)
        before = highest_so_far[np.searchsorted(timeline.grid, examples, side="right") - 1]
        decay = np.divide(before, now, out=np.full_like(now, math.inf), where=now > 0)
        # Between two points of the grid a warm-up may be above all of the grid before it.
        return first(examples) * np.where(now >= before, 1.0, decay) ** noise.growth

    return ideal


def largest_batch_size(
    first: int,
    max_batch_size: int | None,
    multiple_of: int,
    noise: KeptNoise,
    lr_factor: float,
    num_examples: int,
) -> int:
    """The largest batch size to use: the cap, rounded down to a multiple.

    Raises:
        ValueError: when the cap is larger than the training set or below the first batch size.
    """
    cap = num_examples // 10 if max_batch_size is None else max_batch_size
    if cap > num_examples:
        raise ValueError(
            f"trade needs batches no larger than the training set of {num_examples} examples, got "
            f"max_batch_size={cap}; a tenth, {num_examples // 10}, is usual."
        )
    largest = math.floor(cap / multiple_of) * multiple_of
    if largest < first:
        smaller = ""
        if largest > 0:
            smaller = f"lr_factor={lr_factor * (largest / first) ** noise.power:.9g} or "
        raise ValueError(
            f"trade needs a max_batch_size of at least the first batch, {first}, got {cap}; use "
            f"{smaller}max_batch_size={first}."
        )
    return largest


def require_usable(batch_sizes: Sequence[int], first: int, largest: int, multiple_of: int) -> None:
    """Raises `ValueError` unless these sizes, chosen by hand, can be a trade's allowed sizes."""
    sizes = list(batch_sizes)
    is_ascending = all(a < b for a, b in itertools.pairwise(sizes))
    fits = all(size % multiple_of == 0 and size <= largest for size in sizes)
    if not sizes or sizes[0] != first or not is_ascending or not fits:
        raise ValueError(
            f"trade needs batch_sizes that ascend from the first batch, {first}, to at most "
            f"{largest} in multiples of {multiple_of}, got {sizes}."
        )


def allowed_batch_sizes(
    ideal_sizes: np.ndarray, first: int, largest: int, multiple_of: int
) -> list[int]:
    """The batch sizes to choose from, ascending.

    Returns the ideal sizes, rounded down to multiples, where they are at most `MAX_STEP_VALUES`;
    else doublings of the first, and the largest.
    """
    levels = [float(first)]
    for size in np.unique(np.minimum(ideal_sizes, largest)):
        if size > levels[-1] * (1 + _TOLERANCE):
            levels.append(size)
    if len(levels) <= MAX_STEP_VALUES:
        whole = {math.floor(s * (1 + _TOLERANCE) / multiple_of) * multiple_of for s in levels}
        return sorted(whole)
    doublings = (first * 2**n for n in itertools.count())
    return [*itertools.takewhile(lambda size: size < largest, doublings), largest]


def choose_batch_sizes(
    timeline: ExampleTimeline, allowed: list[int], ideal: ExampleFunction
) -> StepFunction:
    """At every example, the largest allowed batch size up to the ideal one.

    Raises:
        ValueError: when the batch size would change more than `MAX_CHANGES` times.
    """

    def largest_up_to_ideal(examples: np.ndarray) -> np.ndarray:
        limit = ideal(examples) * (1 + _TOLERANCE)
        return np.array(allowed)[np.searchsorted(allowed, limit, side="right") - 1]

    steps = timeline.find_steps(largest_up_to_ideal)
    if steps is None:
        raise ValueError(
            f"trade needs an lr for which the batch changes at most {MAX_CHANGES} times, got one "
            "that rises and falls more often; use mode='lr', which keeps the first batch size."
        )
    return _drop_unused(steps, timeline.total_examples)


def _drop_unused(batch_size: StepFunction, total_examples: int) -> StepFunction:
    """The batch sizes without those that hold too briefly for an update to start in."""
    used: list[tuple[int, int]] = []
    examples_read = 0
    ends = [*batch_size.starts[1:].tolist(), total_examples]
    for start, end, size in zip(
        batch_size.starts.tolist(), ends, batch_size.values.tolist(), strict=True
    ):
        updates = -(-(end - examples_read) // size)
        if updates > 0:
            used.append((start, size))
            examples_read += updates * size
    return StepFunction.from_changes(used)
