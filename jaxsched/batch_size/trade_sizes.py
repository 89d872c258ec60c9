"""The batch sizes of a trade, from its ideal batch size at every example."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from jaxsched.batch_size.example_time import (
    FEW,
    MAX_CHANGES,
    ExampleFunction,
    ExampleTimeline,
    StepFunction,
)
from jaxsched.batch_size.trade_noise import Hyperparams, KeptNoise, TradeMode

# Float32 and products of a few of its numbers agree to this.
TOLERANCE = 1e-6


def first_size(
    timeline: ExampleTimeline, noise: KeptNoise, lr_factor: float, slower: float, multiple_of: int
) -> int:
    """The batch size to start with: whole, a multiple, and no larger than the data."""
    if not 0 < lr_factor < math.inf:
        raise ValueError(f"trade needs a finite lr_factor above 0, got {lr_factor}.")
    if int(multiple_of) != multiple_of or multiple_of < 1:
        raise ValueError(f"trade needs a whole multiple_of of at least 1, got {multiple_of}.")
    size = timeline.batch_size.values[0] * lr_factor ** (1 / noise.power) / slower
    first = round(size / multiple_of) * multiple_of
    if not math.isclose(size, first, rel_tol=TOLERANCE):
        below = math.floor(size / multiple_of) * multiple_of
        nearest = [near for near in (below, below + multiple_of) if near > 0]
        factors = [f"{lr_factor * (near / size) ** noise.power:.9g}" for near in nearest]
        raise ValueError(
            f"trade needs a first batch that is whole and a multiple of {multiple_of}, got "
            f"{size:.9g}; the nearest are {' and '.join(map(str, nearest))}, by lr_factor="
            f"{' or '.join(factors)}."
        )
    largest = timeline.num_examples - noise.exact
    if max(first, *timeline.batch_size.values) > largest:
        raise ValueError(
            f"trade needs batches of at most {largest} of {timeline.num_examples} examples, got a "
            f"first batch of {first} for the reference's {timeline.batch_size.values[0]}; start "
            "smaller."
        )
    return first


def batch_size_cap(
    first: int,
    max_batch_size: int | None,
    mode: TradeMode,
    multiple_of: int,
    noise: KeptNoise,
    lr_factor: float,
    num_examples: int,
) -> int:
    """The largest batch size to use, a multiple too."""
    if mode == "lr":
        return first
    most = num_examples // 10 if max_batch_size is None else max_batch_size
    largest = num_examples - noise.exact
    if most > largest:
        raise ValueError(
            f"trade needs batches of at most {largest} of {num_examples} examples, got "
            f"max_batch_size={most}; a tenth, {num_examples // 10}, is usual."
        )
    cap = math.floor(most / multiple_of) * multiple_of
    if cap < first:
        smaller = f"lr_factor={lr_factor * (cap / first) ** noise.power:.9g} or " if cap > 0 else ""
        raise ValueError(
            f"trade needs a max_batch_size of at least the first batch, {first}, got {most}; use "
            f"{smaller}max_batch_size={first}."
        )
    return cap


def ideal_size(reference: Hyperparams, noise: KeptNoise, first: int) -> ExampleFunction:
    """The batch size that takes over the whole fall, as a function of examples."""
    timeline = ExampleTimeline(reference.plan)

    def per_batch(examples: np.ndarray) -> np.ndarray:
        of_size = noise.of_size(timeline.batch_size(examples), timeline.num_examples)
        return timeline.values(reference.lr)(examples) * of_size

    heights = np.maximum.accumulate(per_batch(timeline.grid))

    def ideal_size(examples: np.ndarray) -> np.ndarray:
        now = per_batch(examples)
        before = heights[np.searchsorted(timeline.grid, examples, side="right") - 1]
        fall = np.divide(before, now, out=np.full_like(now, math.inf), where=now > 0)
        return first * np.where(now >= before, 1.0, fall) ** noise.growth

    return ideal_size


def allowed_sizes(ideal: np.ndarray, first: int, cap: int, multiple_of: int) -> list[int]:
    """The ideal sizes where they are few, else doublings; the cap is the last."""
    levels = [float(first)]
    for size in np.unique(np.minimum(ideal, cap)):
        if size > levels[-1] * (1 + TOLERANCE):
            levels.append(size)
    if len(levels) <= FEW:
        whole = {math.floor(s * (1 + TOLERANCE) / multiple_of) * multiple_of for s in levels}
        return sorted(whole)
    return [*itertools.takewhile(lambda s: s < cap, (first * 2**n for n in itertools.count())), cap]


def sizes_by_hand(
    batch_sizes: Sequence[int], first: int, largest: int, multiple_of: int
) -> list[int]:
    """Sizes given by hand, as they are; raises `ValueError` where they cannot be used."""
    sizes = list(batch_sizes)
    ascending = all(a < b for a, b in itertools.pairwise(sizes))
    fitting = all(size % multiple_of == 0 and size <= largest for size in sizes)
    if not sizes or sizes[0] != first or not ascending or not fitting:
        raise ValueError(
            f"trade needs batch_sizes that ascend from the first batch, {first}, to at most "
            f"{largest} in multiples of {multiple_of}, got {sizes}."
        )
    return sizes


def batch_size_steps(
    timeline: ExampleTimeline, sizes: list[int], ideal: ExampleFunction
) -> StepFunction:
    """The largest size up to the ideal one, at every example."""

    def largest(examples: np.ndarray) -> np.ndarray:
        most = ideal(examples) * (1 + TOLERANCE)
        return np.array(sizes)[np.searchsorted(sizes, most, side="right") - 1]

    steps = timeline.steps(largest)
    if steps is None:
        raise ValueError(
            f"trade needs an lr for which the batch changes at most {MAX_CHANGES} times, got one "
            f"that rises and falls more often; use mode='lr', or batch_sizes=({sizes[0]},) to keep "
            "the first."
        )
    return drop_unused(steps, timeline.length)


def drop_unused(size: StepFunction, length: int) -> StepFunction:
    """The batch sizes without those that hold too briefly for an update to start in."""
    used: list[tuple[int, int]] = []
    read = 0
    ends = [*size.starts[1:].tolist(), length]
    for start, end, batch_size in zip(
        size.starts.tolist(), ends, size.values.tolist(), strict=True
    ):
        updates = -(-(end - read) // batch_size)
        if updates > 0:
            used.append((start, batch_size))
            read += updates * batch_size
    return StepFunction.of(used)
