"""Where a program's batches come from: what it is called with, and what it makes a batch of.

Both kinds of feed, a whole set on the devices (`resident.py`) and a stream of batches from the host
(`streaming.py`), keep the two contracts below, so that the same experiment gives the same run
through either.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxsched.data import Augment, epoch_order, example_keys, normalise
from jaxsched.models import Model, Variables
from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.rng import random_key
from jaxsched.train.step.metrics import MetricSums, cross_entropy
from jaxsched.train.step.micro_batches import Batch

# Enough to keep a GPU busy; a CPU is indifferent.
EVALUATION_BATCH = 512

DeviceBlock: TypeAlias = tuple[Any, ...]
# What tells the examples of a batch apart from those of others, each array [B, …].
BatchRows: TypeAlias = tuple[jax.Array, ...]


class TrainingFeed(Protocol):
    """The endless stream of training examples, epoch after epoch.

    A program is called once for each block, with the number of batches that the block holds.

    Attributes:
        split: which arrays of a block each device has a part of.
    """

    split: tuple[int, ...]

    def like(self, size: int) -> DeviceBlock:
        """A block of batches of this size, to compile for."""
        ...

    def blocks(
        self, seed: int, epoch: int, place: int, size: int, count: int
    ) -> Iterator[tuple[int, DeviceBlock]]:
        """The next `count` batches from a place in the epoch on, and how many each block holds."""
        ...

    def rows(self, shard: TakeShard, size: int, index: jax.Array, block: DeviceBlock) -> BatchRows:
        """This replica's part of a block's batch, before anything is done with it; traced."""
        ...

    def batch(self, rows: BatchRows, block: DeviceBlock) -> Batch:
        """These rows, or some of them, as the network takes them; traced."""
        ...

    def stop(self) -> None:
        """Ends what is read ahead; blocks asked for later are read anew."""
        ...


class EvaluationBatch(NamedTuple):
    """A replica's part of a batch to evaluate; the last batch is filled up."""

    images: jax.Array  # compute dtype [B, H, W, C], normalised
    labels: jax.Array  # int32[B]
    counts: jax.Array  # bool[B], False for what fills up

    def sums(self, model: Model, variables: Variables) -> MetricSums:
        """Loss and hits of a network on them; traced."""
        logits = model.eval_logits(variables, self.images)
        losses = cross_entropy(logits, self.labels)
        return MetricSums.of(logits, self.labels, losses, counts=self.counts)


class EvaluationFeed(Protocol):
    """The examples that evaluations run on.

    Attributes:
        split: which arrays of a block each device has a part of.
    """

    split: tuple[int, ...]

    def like(self) -> DeviceBlock:
        """A block, to compile for."""
        ...

    def blocks(self) -> Iterator[tuple[int, DeviceBlock]]:
        """All examples, and how many batches each block holds."""
        ...

    def rows(self, shard: TakeShard, index: jax.Array, block: DeviceBlock) -> EvaluationBatch:
        """This replica's part of a block's batch; traced."""
        ...


@dataclass(frozen=True)
class Preprocess:
    """From stored images to what a network sees, on the device.

    Attributes:
        augment: of the training images.
        mean: of the training images / 255, one a channel.
        std: likewise.
        dtype: what the network computes in.
    """

    augment: Augment
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: DTypeLike

    def normalise(self, images: jax.Array) -> jax.Array:
        """The images, uint8, as the network takes them."""
        return normalise(images, self.mean, self.std, self.dtype)

    def batch(
        self,
        augmented: Callable[[jax.Array], jax.Array],
        labels: jax.Array,
        seed: jax.Array,
        epochs: jax.Array,
        examples: jax.Array,
    ) -> Batch:
        """A batch of these examples of these epochs.

        Args:
            augmented: from the examples' keys to their images, uint8[B, H, W, C].
            labels: int32[B].
            seed: of the run.
            epochs: int32[B].
            examples: int32[B].
        """
        keys = example_keys(random_key(seed, "augmentation"), epochs, examples)
        return Batch(
            images=self.normalise(augmented(keys)),
            labels=labels,
            keys=example_keys(random_key(seed, "dropout"), epochs, examples),
        )


class EpochShuffle:
    """In which order an epoch and the one after it visit the examples.

    Args:
        driver: on whose devices the order lies.
        num_examples: of an epoch.
    """

    def __init__(self, driver: Driver, num_examples: int):
        def of_two_epochs(seed: jax.Array, epoch: jax.Array) -> jax.Array:
            key = random_key(seed, "order")
            return jnp.concatenate([epoch_order(key, epoch + i, num_examples) for i in (0, 1)])

        self.num_examples, self._draw = num_examples, driver.initialise(of_two_epochs)
        self._last: tuple[tuple[int | tuple[int, ...], int], jax.Array] | None = None

    def __call__(self, seed: int | tuple[int, ...], epoch: int) -> jax.Array:
        """int32[2 N], on every device, or of each member's seed; the last one is remembered."""
        if self._last is None or self._last[0] != (seed, epoch):
            self._last = (seed, epoch), self._draw(np.asarray(seed, np.int32), np.int32(epoch))
        return self._last[1]
