"""Rules by which the batch size grows during training."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from jaxsched.field_types import check_field_types


@dataclass(frozen=True)
class Growth:
    """A rule by which the batch grows at evaluations; has the fields that all rules share.

    Attributes:
        factor: from one batch size to the next.
        max_batch_size: the largest batch size; None for a tenth of the training set.

    Raises:
        ValueError: when the factor is not above 1.
    """

    factor: float | None = None
    max_batch_size: int | None = None

    def __post_init__(self):
        check_field_types(self)
        if self.factor is not None and not self.factor > 1:
            raise ValueError(
                f"{type(self).__name__} needs a factor above 1, got factor={self.factor}; it "
                "multiplies the batch size, so for a fifth of the learning rate it is 5."
            )

    def batch_sizes(
        self, first: int, num_examples: int, *, decay_factor: float, multiple_of: int
    ) -> tuple[int, ...]:
        """All batch sizes that a run may reach, in order.

        Formula:
            first · factorᵏ, rounded down to a multiple, as long as it is below the cap; the cap

        Args:
            first: the batch size that the run starts with.
            num_examples: the size of the training set.
            decay_factor: ABEL's or plateau's decay factor; a rule that has no factor of its own
                takes 1 / decay_factor.
            multiple_of: every batch size is a multiple of this.

        Raises:
            ValueError: when the first size is no multiple, or the cap is below the first size or
                above the size of the training set.
        """
        if first % multiple_of:
            raise ValueError(
                f"{type(self).__name__} needs batch sizes that are multiples of {multiple_of} "
                "(devices, and examples normalised together), got a first batch_size of "
                f"{first}; use {-(-first // multiple_of) * multiple_of}."
            )
        cap = num_examples // 10 if self.max_batch_size is None else self.max_batch_size
        if not first <= cap <= num_examples:
            default = " (a tenth of the training set)" if self.max_batch_size is None else ""
            raise ValueError(
                f"{type(self).__name__} needs a max_batch_size within {first} … {num_examples}, "
                f"from the first batch to the training set, got {cap}{default}."
            )
        factor = self.factor or 1 / decay_factor
        grown = (first * factor**k for k in itertools.count())
        below = itertools.takewhile(lambda size: size < cap, grown)
        # first · factorᵏ may come out a little below the whole number that it is meant to be.
        sizes = (*(int(size * (1 + 1e-9)) for size in below), cap)
        return tuple(dict.fromkeys(size // multiple_of * multiple_of for size in sizes))

    def next_size(self, sizes: Sequence[int], size: int, *, decay: float, noise: float) -> int:
        """The batch size from this evaluation on.

        Args:
            sizes: the result of `batch_sizes`.
            size: the batch size so far.
            decay: the product of ABEL's and plateau's decays.
            noise: the gradient noise scale, in examples; NaN if it is not known.
        """
        raise NotImplementedError

    def lr_factor(self, first: int, size: int) -> float:
        """The factor of the learning rate at this batch size, for a run that began at `first`."""
        raise NotImplementedError


@dataclass(frozen=True)
class GrowOnDecay(Growth):
    """Grows the batch where ABEL or plateau would decay the learning rate.

    Formula, at each evaluation:
        B ← the largest allowed size ≤ first / scale        scale: all decays so far, multiplied
        learning rate = lr · scale · B / first

    So at every update the noise scale g = lr N / (B (1 − m)) is the same as with the decays alone.
    A decay acts at the update that decides it: first as a smaller learning rate, and from the next
    evaluation on as a larger batch at the previous learning rate. The part of a decay that the
    rounding or the cap of batch sizes leaves over stays in the learning rate; once the cap is
    reached, only the learning rate decays.

    ABEL measures at the first update of an epoch, so with one evaluation an epoch the batch grows
    an epoch after its decay. The running statistics of a batch norm average over a number of
    updates, which cover more examples as the batch grows: after few updates at a high learning rate
    they lag behind the weights, and the re-estimated statistics of an average (see `Averaging`) are
    better.

    Attributes:
        factor: from one batch size to the next; 1 / the decay factor by default.
        max_batch_size: the largest batch size; a tenth of the training set by default.

    Raises:
        ValueError: when the factor is not above 1.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), and Smith et al., "Don't
        decay the learning rate, increase the batch size" (arXiv 1711.00489), combined.

    Example:
        >>> import jaxsched as js
        >>> growth = js.GrowOnDecay(max_batch_size=5120)
        >>> sizes = growth.batch_sizes(128, 50_000, decay_factor=0.2, multiple_of=128)
        >>> sizes, growth.next_size(sizes, 128, decay=0.2, noise=0.0), growth.lr_factor(128, 640)
        ((128, 640, 3200, 5120), 640, 5.0)
    """

    def next_size(self, sizes: Sequence[int], size: int, *, decay: float, noise: float) -> int:
        """See `Growth.next_size`; the batch never shrinks."""
        del noise
        wanted = sizes[0] / decay * (1 + 1e-6)  # the scale is a product in float32
        return max(size, *(s for s in sizes if s <= wanted))

    def lr_factor(self, first: int, size: int) -> float:
        """See `Growth.lr_factor`."""
        return size / first


@dataclass(frozen=True)
class GrowOnNoise(Growth):
    """Grows the batch once the gradient noise scale is a given multiple of the batch size.

    Formula, at each evaluation:
        B ← the next allowed size        if B_simple ≥ multiple · B,  one step at a time

    A batch far below the noise scale wastes no examples, a batch far above it wastes most of them;
    the noise scale grows while the loss falls. The learning rate stays as scheduled: the best one
    for a batch that is a fixed share of the noise scale, ε / (1 + B_simple / B), does not change.

    How to choose the multiple: 1 is the knee of the trade-off between examples and updates, where
    training needs twice the minimum of either. The estimate is known to be lower than the largest
    useful batch size, so less than 1 may work too.

    Attributes:
        factor: from one batch size to the next; 2 by default.
        max_batch_size: the largest batch size; a tenth of the training set by default.
        multiple: the noise scale, in batch sizes, at which the batch grows.

    Raises:
        ValueError: when the factor is not above 1 or the multiple not above 0.

    Source:
        McCandlish et al., "An empirical model of large-batch training" (arXiv 1812.06162), sections
        2.2 and 5.1; on the shortfall, "Critical batch size revisited" (arXiv 2505.23971).

    Example:
        >>> import jaxsched as js
        >>> growth = js.GrowOnNoise(factor=2)
        >>> sizes = growth.batch_sizes(32, 1500, decay_factor=1, multiple_of=16)
        >>> sizes, [growth.next_size(sizes, 32, decay=1, noise=n) for n in (30, 400)]
        ((32, 64, 128, 144), [32, 64])
    """

    factor: float | None = 2.0
    multiple: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not self.multiple > 0:
            raise ValueError(f"GrowOnNoise needs a multiple above 0, got multiple={self.multiple}.")

    def next_size(self, sizes: Sequence[int], size: int, *, decay: float, noise: float) -> int:
        """See `Growth.next_size`."""
        del decay
        larger = [s for s in sizes if s > size]
        return larger[0] if larger and noise >= self.multiple * size else size

    def lr_factor(self, first: int, size: int) -> float:
        """See `Growth.lr_factor`."""
        return 1.0
