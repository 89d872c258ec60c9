"""Recomputes the batch-norm statistics of any weights, such as an average's."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from jaxsched.models import Params, Variables
from jaxsched.train.input_pipeline.base import EVALUATION_BATCH, TrainingFeed
from jaxsched.train.program.compiler import ProgramCompiler
from jaxsched.train.step.batch_norm_stats import Batches, even_batches
from jaxsched.transforms.batch_stats import PooledMoments


def statistics_batches(num_examples: int, num_shards: int) -> tuple[Batches, ...]:
    """Cuts all training examples into the batches whose statistics are pooled."""
    return even_batches(num_examples, EVALUATION_BATCH, num_shards)


class BatchStatsRecomputation:
    """Pools the batch-norm statistics of weights over training examples.

    Args:
        compiler: compiles the pooling when it is first needed.
        feed: the training examples; a feed of its own where it reads ahead, so that reading other
            examples does not disturb the updates.
        num_examples: the number of training examples.
        num_shards: the number of parts that every batch is divided into.
    """

    def __init__(
        self, compiler: ProgramCompiler, feed: TrainingFeed, num_examples: int, num_shards: int
    ):
        self._compiler, self._feed, self._num_examples = compiler, feed, num_examples
        self._batches = statistics_batches(num_examples, num_shards)

    def __call__(
        self, params: Params, seed: int, epoch: int, offset: int, num_examples: int
    ) -> Variables:
        """Returns the parameters with statistics of `num_examples`, from an offset in an epoch.

        They begin earlier where the epoch has not as many left, so that none is used twice.
        """
        if not self._compiler.state.batch_stats:  # a network without batch norm
            return {"params": params, "batch_stats": {}}
        pooled = self._zero_moments
        wanted = min(num_examples, self._num_examples)
        left = -(-wanted // self._batches[-1].size)
        batches = []
        for size, available in self._batches:
            batches.append(Batches(size, min(left, available)))
            left -= batches[-1].count
        used = sum(size * count for size, count in batches)
        offset = min(offset, self._num_examples - used)
        for size, num_batches in batches:
            for count, block in self._feed.blocks(seed, epoch, offset, size, num_batches):
                pooled = self._executables[size](params, pooled, np.int32(count), *block)
            offset += size * num_batches
        self._feed.stop()
        return {"params": params, "batch_stats": pooled.batch_stats}

    def compile(self) -> None:
        """Compiles the pooling now, rather than at the first call."""
        if self._compiler.state.batch_stats:
            _ = self._zero_moments, self._executables

    @cached_property
    def _zero_moments(self) -> PooledMoments:
        return self._compiler.zero_moments()

    @cached_property
    def _executables(self) -> Mapping[int, Callable[..., PooledMoments]]:
        """An executable for each batch size."""
        return {size: self._compiler.pooling(size) for size, _ in self._batches}
