"""The traced bodies of a program: what each of its executables computes on a block of batches.

A body is `body(shard, *arguments, *block, **static)`. `Driver.compile` compiles it once
`functools.partial` has bound the static part. Bodies see a block as tracers only: they place no
array and do not know where the block comes from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxsched.experiment.experiment import Experiment
from jaxsched.models import Params, Variables
from jaxsched.plan import Plan
from jaxsched.plan.clock import Clock, SegmentArrays
from jaxsched.tasks import MetricSums, TaskFunctions
from jaxsched.train.distributed.driver import Driver, TakeShard
from jaxsched.train.input_pipeline.base import (
    BatchRows,
    DeviceBlock,
    EvaluationFeed,
    TrainingFeed,
)
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.rng import random_key
from jaxsched.train.step.micro_batches import MicroBatches
from jaxsched.train.step.state import TrainState, init_state
from jaxsched.train.step.train_step import NormRates, Update, make_update
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.train.step.weight_norms import NormChange
from jaxsched.transforms.batch_stats import PooledMoments


@dataclass(frozen=True, eq=False)
class TracedExperiment:
    """The parts of an experiment that the bodies need, also for the others that share its program.

    `numbers`, f32[numbers], are those of the experiment that runs; see `SharedProgramSpec`.

    Attributes:
        spec: the experiments that share the program.
        plan: the plan of all of them.
        task: the task's functions, built with `axis_name`.
        batch_sizes: all batch sizes that an update may have.
        evaluation_marks: the examples of the stream at which an evaluation comes.
        axis_name: the mapped axis over replicas, if there is one.
    """

    spec: SharedProgramSpec
    plan: Plan
    task: TaskFunctions
    batch_sizes: tuple[int, ...]
    evaluation_marks: tuple[int, ...] = ()
    axis_name: str | None = None

    @property
    def experiment(self) -> Experiment:
        """The first of the experiments."""
        return self.spec.experiment

    @property
    def num_segments(self) -> int:
        """The most segments that a plan of a run can have, also one whose batch sizes grow."""
        return max(len(self.plan.segments), len(self.batch_sizes))

    def init_state(self, seed: ArrayLike, numbers: ArrayLike) -> TrainState:
        """Draws the state before the first update."""
        return self.state_of(self.task.init(random_key(seed, "weights")), numbers)

    def state_of(self, variables: Variables, numbers: ArrayLike) -> TrainState:
        """Returns the state before the first update of these variables."""
        optimizer = self.spec.optimizer(numbers)
        tx = optimizer.transformation(self.plan, self.evaluation_marks)
        return init_state(variables, tx)

    def zero_sums(self, numbers: ArrayLike) -> UpdateSums:
        """Returns the sums over no update, to add those of updates to."""
        state = self.init_state(0, numbers)  # only its shapes are used
        rates = self._norm_rates(state.opt_state) if self._norm_rates else None
        change = None if rates is None else NormChange.zero(state.params)
        return UpdateSums(self.task.zero_sums(), change)

    def plan_of(self, segments: SegmentArrays) -> Plan:
        """Returns the plan with a clock that reads these segments, which may be traced."""
        clock = Clock(segments, self.plan.num_examples, max(self.batch_sizes))
        return self.plan.with_clock(clock)

    def update(self, numbers: ArrayLike, batch_size: int, plan: Plan) -> Update:
        """Makes the function that applies one update.

        Args:
            numbers: the numbers of the experiment that runs.
            batch_size: the batch size of the update.
            plan: the plan whose clock the schedules read.
        """
        optimizer, rule = self.spec.optimizer(numbers), self.experiment.batch_growth
        first, by_examples = self.plan.batch_sizes[0], self.experiment.stats_memory == "examples"
        if rule is not None:
            factor = rule.lr_factor(first, batch_size)
            optimizer = optimizer.with_lr_scaled_by(factor)
        return make_update(
            self.task,
            optimizer.transformation(plan, self.evaluation_marks),
            axis_name=self.axis_name,
            norm_rates=self._norm_rates,
            factors_of=optimizer.factors_of if optimizer.lr_factors else None,
            estimates_noise=self.experiment.optimizer.noise is not None,
            growth=batch_size / first if by_examples else 1.0,
            gradient_dtype=jnp.dtype(self.experiment.gradient_dtype),
        )

    @property
    def _norm_rates(self) -> NormRates | None:
        return self.experiment.optimizer.effective_rates if self.experiment.weight_norms else None


def train_on_block(
    shard: TakeShard,
    state: TrainState,
    sums: UpdateSums,
    count: jax.Array,
    segments: SegmentArrays,
    numbers: jax.Array,
    *block: Any,
    traced: TracedExperiment,
    feed: TrainingFeed,
    driver: Driver,
    batch_size: int,
    num_micro_batches: int,
) -> tuple[TrainState, UpdateSums]:
    """Makes `count` updates, but none after the first loss that is not finite."""
    update = traced.update(numbers, batch_size, traced.plan_of(segments))

    def is_unfinished(carry):
        done, _, sums = carry
        # The sums keep a NaN or an infinity, so the state stays that of the update that diverged.
        return (done < count) & jnp.isfinite(sums.metrics.loss)

    def advance(carry):
        done, state, sums = carry
        rows = feed.rows(shard, batch_size, done, block)
        batches = _micro_batches(rows, block, feed, num_micro_batches, driver.in_parts)
        state, batch_sums = update(state, batches)
        return done + 1, state, sums + batch_sums

    _, state, sums = lax.while_loop(is_unfinished, advance, (jnp.int32(0), state, sums))
    return state, sums


def _micro_batches(
    rows: BatchRows,
    block: DeviceBlock,
    feed: TrainingFeed,
    count: int,
    in_parts: Callable[[Any, int], Any],
) -> MicroBatches:
    """Cuts a batch into micro-batches, each augmented only when its turn comes."""
    if count == 1:
        return MicroBatches.one(feed.batch(rows, block))
    parts = in_parts(rows, count)
    return MicroBatches(
        lambda index: feed.batch(jax.tree.map(lambda part: part[index], parts), block), count
    )


def evaluate_block(
    shard: TakeShard,
    variables: Variables,
    sums: MetricSums,
    count: jax.Array,
    *block: Any,
    task: TaskFunctions,
    feed: EvaluationFeed,
    axis_name: str | None = None,
) -> MetricSums:
    """Adds the metrics of a block of `count` batches to `sums`."""

    def add_batch(index: jax.Array, sums: MetricSums) -> MetricSums:
        inputs, counts = feed.batch(shard, index, block)
        batch_sums = task.evaluate(variables, inputs, counts)
        return sums + (batch_sums if axis_name is None else lax.psum(batch_sums, axis_name))

    return lax.fori_loop(0, count, add_batch, sums)


def pool_block(
    shard: TakeShard,
    params: Params,
    pooled: PooledMoments,
    count: jax.Array,
    *block: Any,
    task: TaskFunctions,
    feed: TrainingFeed,
    batch_size: int,
) -> PooledMoments:
    """Adds the batch-norm statistics of a block of `count` batches to the pooled ones."""
    # The network takes running statistics, but does not use them where it normalises by the batch.
    stats = jax.tree.map(jnp.zeros_like, pooled.batch_stats)
    variables = {"params": params, "batch_stats": stats}

    def add_batch(index: jax.Array, pooled: PooledMoments) -> PooledMoments:
        batch = feed.batch(feed.rows(shard, batch_size, index, block), block)
        return pooled.add(task.batch_moments(variables, batch.inputs), batch_size)

    return lax.fori_loop(0, count, add_batch, pooled)


def predict_batch(
    shard: TakeShard,
    variables: Variables,
    index: jax.Array,
    *block: Any,
    task: TaskFunctions,
    feed: EvaluationFeed,
    driver: Driver,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns one batch's outputs, its targets, and which of its examples count."""
    inputs, counts = feed.batch(shard, index, block)
    return driver.gather((task.predict(variables, inputs), task.targets(inputs), counts))
