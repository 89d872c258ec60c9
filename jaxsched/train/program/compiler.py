"""Compiles the bodies of a program, ahead of time and from shapes alone."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxsched.models import Params
from jaxsched.tasks import MetricSums
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.input_pipeline.base import DeviceBlock, EvaluationFeed, TrainingFeed
from jaxsched.train.precision import in_precision
from jaxsched.train.program.batch_split import micro_batches_per_device
from jaxsched.train.program.traced import (
    TracedExperiment,
    evaluate_block,
    pool_block,
    predict_batch,
    train_on_block,
)
from jaxsched.train.step.state import TrainState
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.train.step.weight_norms import squared_norms
from jaxsched.transforms import averaged_params
from jaxsched.transforms.batch_stats import PooledMoments

Updates: TypeAlias = Callable[..., tuple[TrainState, UpdateSums]]


class ProgramCompiler:
    """Compiles each body of one program; places no array and runs nothing.

    Args:
        driver: the devices to compile for.
        traced: the experiment.
        training: the feed of the training examples; only its shapes and its traced part are used.
        evaluation: the feed of the test examples, used in the same way.

    Attributes:
        init_state: `(seed, numbers) -> TrainState`, jitted.
        state_of: `(variables, numbers) -> TrainState`, jitted.
        zero_sums: `() -> UpdateSums`, jitted; sums over no update.
        zero_evaluation: `() -> MetricSums`, jitted; sums over no example, for evaluations.
        zero_moments: `() -> PooledMoments`, jitted; the statistics of no example.
        state: the shapes of a `TrainState`.
        sums: the shapes of the sums of updates.
    """

    def __init__(
        self,
        driver: Driver,
        traced: TracedExperiment,
        training: TrainingFeed,
        evaluation: EvaluationFeed,
    ):
        self._driver, self._traced = driver, traced
        self._training, self._evaluation = training, evaluation
        self._numbers = traced.spec.numbers[0]
        self.init_state = driver.initialise(traced.init_state)
        self.state_of = driver.initialise(traced.state_of)
        self.zero_sums = driver.initialise(partial(traced.zero_sums, self._numbers))
        self.zero_evaluation = driver.initialise(traced.task.zero_sums)
        self.state: TrainState = self._shapes(self.init_state, np.int32(0), self._numbers)
        self.sums: UpdateSums = self._shapes(self.zero_sums)
        batch_stats = self.state.batch_stats
        self.zero_moments = driver.initialise(lambda: PooledMoments.none(batch_stats))

    def updates(self, batch_size: int) -> Updates:
        """Compiles `(state, sums, count, segments, numbers, *block) -> (state, sums)`."""
        traced, driver, feed = self._traced, self._driver, self._training
        body = partial(
            train_on_block,
            traced=traced,
            feed=feed,
            driver=driver,
            batch_size=batch_size,
            num_micro_batches=micro_batches_per_device(
                traced.experiment, batch_size, driver.num_shards
            ),
        )
        segments = driver.replicated_like(traced.plan.arrays(traced.num_segments))
        arguments = (self.state, self.sums, np.int32(0), segments, self._numbers)
        return self._compile(body, arguments, feed.like(batch_size), feed.split, donate=(0,))

    def evaluation(self) -> Callable[..., MetricSums]:
        """Compiles `(variables, sums, count, *block) -> sums`."""
        feed = self._evaluation
        axis_name = self._traced.axis_name
        body = partial(evaluate_block, task=self._traced.task, feed=feed, axis_name=axis_name)
        arguments = (self.state.variables, self._shapes(self.zero_evaluation), np.int32(0))
        return self._compile(body, arguments, feed.like(), feed.split)

    def pooling(self, batch_size: int) -> Callable[..., PooledMoments]:
        """Compiles `(params, pooled, count, *block) -> pooled`."""
        feed = self._training
        body = partial(pool_block, task=self._traced.task, feed=feed, batch_size=batch_size)
        arguments = (self.state.params, self._shapes(self.zero_moments), np.int32(0))
        return self._compile(body, arguments, feed.like(batch_size), feed.split)

    def prediction(self) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
        """Compiles `(variables, index, *block) -> (outputs, targets, counts)`."""
        feed = self._evaluation
        body = partial(predict_batch, task=self._traced.task, feed=feed, driver=self._driver)
        arguments = (self.state.variables, np.int32(0))
        return self._compile(body, arguments, feed.like(), feed.split)

    def squared_norms(self) -> Callable[[TrainState], jax.Array]:
        """Compiles `state -> |w|² of each layer`."""
        return self._driver.compile(lambda _, state: squared_norms(state.params), self.state)

    def averaged_params(self) -> Callable[[TrainState], Params]:
        """Compiles `state -> the average of the weights`, for an optimizer that keeps one."""
        return self._driver.compile(
            lambda _, state: averaged_params(state.opt_state, state.params), self.state
        )

    def _compile(
        self,
        body: Callable[..., Any],
        arguments: tuple[Any, ...],
        block: DeviceBlock,
        split: tuple[int, ...],
        donate: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Compiles `body(shard, *arguments, *block)`; `split` counts within the block."""
        positions = tuple(len(arguments) + position for position in split)
        exact = in_precision(self._traced.experiment.precision, body)
        return self._driver.compile(exact, *arguments, *block, donate=donate, split=positions)

    def _shapes(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The shapes of what a function made by `Driver.initialise` returns."""
        return self._driver.replicated_like(jax.eval_shape(function, *arguments))
