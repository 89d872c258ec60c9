"""An experiment made executable: its data on device and its programs compiled."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxsched.data import Dataset, Images
from jaxsched.experiment.experiment import Experiment, evaluation_steps
from jaxsched.models import Params, Variables
from jaxsched.plan import Plan
from jaxsched.plan.clock import Clock, SegmentArrays
from jaxsched.train.distributed.driver import TakeShard
from jaxsched.train.distributed.make_driver import check_divisible, make_driver
from jaxsched.train.input_pipeline.base import EVALUATION_BATCH, EpochShuffle, Preprocess
from jaxsched.train.input_pipeline.from_host import FromHostEvaluation, FromHostTraining
from jaxsched.train.input_pipeline.on_device import OnDeviceEvaluation, OnDeviceTraining
from jaxsched.train.population.family import SharedProgramSpec
from jaxsched.train.program.executables import Compilation, Executables
from jaxsched.train.program.out_of_memory import explain_out_of_memory, out_of_memory_error
from jaxsched.train.rng import random_key
from jaxsched.train.step.batch_norm_stats import PooledMoments, even_batches
from jaxsched.train.step.metrics import MetricSums
from jaxsched.train.step.micro_batches import MicroBatches, num_micro_batches
from jaxsched.train.step.state import TrainState, init_state
from jaxsched.train.step.train_step import make_update
from jaxsched.train.step.weight_norms import NormChange, layer_names, squared_norms
from jaxsched.transforms import averaged_params


class Prediction(NamedTuple):
    """What a network makes of the test images."""

    probabilities: np.ndarray  # f32[images, classes]
    labels: np.ndarray  # int32[images]


class Program:
    """What runs an experiment, for any seed: compiled once for each batch size, ahead of time.

    The first batch size is compiled before the run, the others one after another while it trains.

    A data set in memory lies on every device as uint8, and a dispatch makes many updates. One that
    is read record by record is streamed, a batch a dispatch. Either way the batches are augmented
    on the device, sums are kept there, and the run is the same.

    Args:
        experiment: its seed is not looked at.
        dataset: what `experiment.data.load()` gave.
        alike: other experiments of its family, which it can run too, see `member`.
        read_workers: processes that read and decode streamed data; 0 does it in threads.
        device: the one to use instead of the first, for an experiment that takes one.

    Attributes:
        plan: the experiment's phases on this data.
        batch_sizes: of the plan, or those that it may learn.
        layer_names: the layers that `squared_norms` speaks of.
        compile_seconds: what tracing, compiling and placing the data took before the run.

    Raises:
        ValueError: when a batch size cannot be divided over the devices, their micro-batches and
            the examples that are normalised together, or when `alike` differ in more than numbers
            of their schedules, before anything compiles.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        *,
        alike: Sequence[Experiment] = (),
        read_workers: int = 0,
        device: Any = None,
    ):
        self.experiment, self.dataset = experiment, dataset
        self.plan = experiment.plan(len(dataset.train))
        self._family = SharedProgramSpec((experiment, *alike), self.plan)
        self._numbers = self._family.numbers[0]
        group = experiment.model.batch_group
        self.driver = make_driver(
            experiment.driver,
            experiment.num_devices,
            batch_sizes=self.plan.batch_sizes,
            pixels=math.prod(dataset.train.image_shape[:2]),
            fits=lambda devices: self._can_be_taken(self.plan.batch_sizes, devices),
            device=device,
        )
        devices = len(self.driver.devices)
        self.batch_sizes = experiment.batch_sizes(self.plan, math.lcm(devices, group or 1))
        check_divisible(self.batch_sizes, devices, group)
        for size in self.batch_sizes:
            self._num_micro_batches(size, devices)  # refuses what cannot be taken so
        self._evaluation_marks = experiment.evaluation_marks(len(dataset.train))
        self._norm_rates = experiment.optimizer.norm_rates if experiment.weight_norms else None
        dtype = jnp.dtype(experiment.precision)
        self._model = experiment.model.build(
            dataset.num_classes, dtype=dtype, axis_name=self.driver.axis_name
        )
        self._init = self.driver.initialise(self._init_state)
        start = time.perf_counter()
        self._place(Preprocess(experiment.augment, dataset.mean, dataset.std, dtype), read_workers)
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    def member(self, experiment: Experiment) -> "Program":
        """What runs another experiment of the family, with the same executables.

        Raises:
            ValueError: when the program was not made for it.
        """
        member = copy.copy(self)
        member.experiment, member._numbers = experiment, self._family.numbers_of(experiment)
        return member

    def init(self, seed: int) -> TrainState:
        """The state before the first update."""
        return self._init(np.int32(seed), self._numbers)

    def order(self, seed: int, epoch: int) -> jax.Array:
        """The examples of this epoch and of the next, in order: int32[2 N], on device."""
        return self._order(seed, epoch)

    def zero_sums(self) -> MetricSums:
        """Sums of no example, on every device."""
        return self._zero()

    def evaluation_steps(self, plan: Plan) -> tuple[int, ...]:
        """The updates after which a run with this plan is evaluated."""
        return evaluation_steps(plan, self._evaluation_marks)

    def is_compiled(self, batch_size: int) -> bool:
        """Whether updates of this batch size can be made without waiting for the compiler."""
        return self._executables.is_compiled(batch_size)

    def wait_for(self, batch_size: int) -> None:
        """Waits for the compiler."""
        _ = self._executables[batch_size]

    @property
    def compilations(self) -> tuple[Compilation, ...]:
        """What the updates of each batch size cost so far."""
        return self._executables.costs()

    def update(
        self,
        state: TrainState,
        sums: MetricSums,
        *,
        seed: int,
        step: int,
        count: int,
        plan: Plan | None = None,
    ) -> tuple[TrainState, MetricSums]:
        """Makes `count` updates from `step` on, without waiting for them.

        They must have one batch size and start in one epoch. Updates end with the first loss that
        is not finite: the sums say so, and the state's step says which update it was.

        Args:
            state: of `step`; overwritten.
            sums: what these updates' sums are added to.
            seed: of the run.
            step: the first update.
            count: how many.
            plan: of the run, where it learns its batch sizes; else the experiment's.

        Raises:
            MemoryError: when some batch size, also of a later phase, does not fit.
        """
        plan = plan or self.plan
        size, places = plan.batch_size_at(step), plan.place_at(step)
        executable, segments = self._executables[size], self._segments(plan)
        self._executables.check()
        self._executables.prepare(self._upcoming(plan, step))
        for number, block in self._training.blocks(seed, *places, size, count):
            state, sums = executable(state, sums, np.int32(number), segments, self._numbers, *block)
        return state, sums

    def evaluate(self, variables: Variables) -> MetricSums:
        """Loss and hits over the test images, on device."""
        sums = self._no_hits
        for number, block in self._testing.blocks():
            sums = self._evaluation(variables, sums, np.int32(number), *block)
        return sums

    def recompute_batch_stats(
        self,
        params: Params,
        *,
        seed: int,
        step: int,
        num_examples: int,
        plan: Plan | None = None,
    ) -> Variables:
        """Any parameters, with batch-norm statistics re-estimated for them.

        The statistics are those of training examples as the updates from `step` on would see them:
        augmented, in batches that normalise themselves, pooled over all of them.

        Args:
            params: such as an average, on every device.
            seed: of the run.
            step: how many updates are done.
            num_examples: how many to look at, up to a batch; never more than there are.
            plan: see `update`.
        """
        (epoch, place), pooled = (plan or self.plan).place_at(step), self._nothing_pooled
        wanted = min(num_examples, self.plan.num_examples)
        left = -(-wanted // self._moment_batches[-1].size)
        for size, most in self._moment_batches:
            count = min(left, most)
            for number, block in self._looking.blocks(seed, epoch, place, size, count):
                pooled = self._pooling[size](params, pooled, np.int32(number), *block)
            place, left = place + size * count, left - count
        self._looking.stop()
        return {"params": params, "batch_stats": pooled.batch_stats}

    def stop_prefetch(self) -> None:
        """Ends what is read and compiled ahead; a later update starts it anew."""
        self._training.stop()
        self._executables.stop()

    def averaged_params(self, state: TrainState) -> Params:
        """The mean of the weights that the chain keeps; only for an experiment with averaging."""
        return self._average(state)

    def predict(self, variables: Variables) -> Prediction:
        """What the network gives each class for each test image, and the right ones."""
        batches = [
            self._prediction(variables, np.int32(index), *block)
            for number, block in self._testing.blocks()
            for index in range(number)
        ]
        found, labels, counts = (np.concatenate(part) for part in zip(*batches, strict=True))
        return Prediction(found[counts], labels[counts])

    def squared_norms(self, state: TrainState) -> jax.Array:
        """|w|² of each layer, f32[layers], on device."""
        return self._norms(state)

    def update_memory(self, size: int) -> int:
        """Bytes of each device that updates with batches of this size would take."""
        return self.driver.memory_of(self._compiled_updates(size))

    def _place(self, preparation: Preprocess, read_workers: int) -> None:
        """Brings the data to the devices, or prepares to."""
        driver, train, test = self.driver, self.dataset.train, self.dataset.test
        num_devices = len(driver.devices)
        self._order = EpochShuffle(driver, len(train))
        self._moment_batches = even_batches(len(train), EVALUATION_BATCH, num_devices)
        # Rounded up to a multiple of the devices.
        batch_size = -(-min(EVALUATION_BATCH, len(test)) // num_devices) * num_devices
        if isinstance(train, Images):
            self._training = OnDeviceTraining(driver, train, self._order, preparation)
            self._looking = self._training
        else:
            # Each reads ahead on its own, so that a look at other examples costs no update time.
            self._training, self._looking = (
                FromHostTraining(driver, train, self._order, preparation, read_workers)
                for _ in range(2)
            )
        if isinstance(test, Images):
            self._testing = OnDeviceEvaluation(driver, test, batch_size, preparation)
        else:
            self._testing = FromHostEvaluation(driver, test, batch_size, preparation, read_workers)

    def _compile(self) -> None:
        state, number = self._like(self._init, np.int32(0), self._numbers), np.int32(0)
        self.layer_names = layer_names(state.params)
        self._zero = self.driver.initialise(self._zero_sums)
        self._state, self._sums = state, self._like(self._zero)
        self._placed: tuple[Plan, SegmentArrays] | None = None
        self._executables = Executables(self._compile_updates)
        self.wait_for(self.batch_sizes[0])
        self._no_hits = self.driver.initialise(MetricSums.zero)()
        self._evaluation = self.driver.compile(
            self._evaluation_program(),
            *(state.variables, self._no_hits, number, *self._testing.like()),
            split=_behind(3, self._testing.split),
        )
        self._norms = self.driver.compile(lambda _, state: squared_norms(state.params), state)
        if self.experiment.optimizer.averaging is not None:
            self._average = self.driver.compile(
                lambda _, state: averaged_params(state.opt_state, state.params), state
            )
            _ = self._pooling  # compiled before the clock runs

    def _like(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `Driver.initialise`'s function gives, to compile for."""
        return self.driver.replicated_like(jax.eval_shape(function, *arguments))

    def _compile_updates(self, size: int) -> Callable[..., tuple[TrainState, MetricSums]]:
        """What makes updates of batches of this size; runs nothing."""
        with self.room_for(self.plan, size):
            compiled = self._compiled_updates(size)
        needed, room = self.driver.memory_of(compiled), self.driver.memory()
        if needed > room:
            cause = f"they need {needed / 1e9:.2f} GB a device, which has {room / 1e9:.2f}"
            where = (self.experiment, self.plan, size, len(self.driver.devices))
            raise out_of_memory_error(*where, cause, share=0.9 * room / needed)
        return compiled

    def room_for(self, plan: Plan, batch_size: int) -> AbstractContextManager[None]:
        """In which memory that runs out during updates is a `MemoryError` that says what to do."""
        return explain_out_of_memory(self.experiment, plan, batch_size, len(self.driver.devices))

    def _compiled_updates(self, size: int) -> Callable[..., tuple[TrainState, MetricSums]]:
        segments = self.driver.replicated_like(self.plan.arrays(self._num_segments))
        return self.driver.compile(
            self._updates_program(size),
            *(self._state, self._sums, np.int32(0), segments, self._numbers),
            *self._training.like(size),
            donate=(0,),
            split=_behind(5, self._training.split),
        )

    @property
    def _num_segments(self) -> int:
        """No plan of a run has more."""
        return max(len(self.plan.segments), len(self.batch_sizes))

    def _segments(self, plan: Plan) -> SegmentArrays:
        """A plan's segments on the devices; the last ones are remembered."""
        if self._placed is None or self._placed[0] != plan:
            self._placed = plan, self.driver.replicate(plan.arrays(self._num_segments))
        return self._placed[1]

    def _upcoming(self, plan: Plan, step: int) -> tuple[int, ...]:
        """What is compiled while a run trains, in order; of sizes that are learned, the next."""
        if self.experiment.batch_growth is None:
            return tuple(s.batch_size for s in plan.segments if s.end_step > step)
        following = self.batch_sizes.index(plan.batch_size_at(step)) + 1
        return self.batch_sizes[following : following + 1]

    def _num_micro_batches(self, size: int, num_devices: int) -> int:
        """How many parts each device takes its part of a batch in, one after another."""
        experiment = self.experiment
        # The noise is estimated from at least two gradients; those of mapped replicas serve.
        alone = experiment.driver == "jit" or num_devices == 1
        return num_micro_batches(
            size // num_devices,
            most=experiment.max_device_batch,
            group=experiment.model.batch_group,
            least=2 if alone and experiment.optimizer.noise is not None else 1,
        )

    def _can_be_taken(self, batch_sizes: Iterable[int], num_devices: int) -> bool:
        """Whether so many devices can take these batches in parts."""
        try:
            return all(self._num_micro_batches(size, num_devices) for size in batch_sizes)
        except ValueError:
            return False

    def _zero_sums(self) -> MetricSums:
        state = self._init_state(jnp.int32(0), self._numbers)  # for its shapes
        rates = self._norm_rates(state.opt_state) if self._norm_rates else None
        return MetricSums.zero(NormChange.zero(state.params) if rates is not None else None)

    def _init_state(self, seed: jax.Array, numbers: ArrayLike) -> TrainState:
        tx = self._family.optimizer(numbers).transformation(self.plan, self._evaluation_marks)
        shape = self.dataset.train.image_shape
        return init_state(self._model, tx, random_key(seed, "weights"), shape)

    def _updates_program(self, batch_size: int):
        """The updates of one block, at the times that the segments of a plan tell."""
        experiment, feed = self.experiment, self._training
        num_micro = self._num_micro_batches(batch_size, len(self.driver.devices))

        def program(shard: TakeShard, state, sums, count, segments: SegmentArrays, numbers, *block):
            clock = Clock(segments, self.plan.num_examples, max(self.batch_sizes))
            update = make_update(
                self._model,
                self._transformation(batch_size, clock, numbers),
                label_smoothing=experiment.label_smoothing,
                axis_name=self.driver.axis_name,
                norm_rates=self._norm_rates,
                estimates_noise=experiment.optimizer.noise is not None,
            )

            def batches(index: jax.Array) -> MicroBatches:
                rows = feed.rows(shard, batch_size, index, block)
                if num_micro == 1:
                    return MicroBatches.one(feed.batch(rows, block))
                parts = self.driver.in_parts(rows, num_micro)
                return MicroBatches(
                    lambda i: feed.batch(jax.tree.map(lambda part: part[i], parts), block),
                    num_micro,
                )

            def unfinished(carry):
                done, _, sums = carry
                return (done < count) & jnp.isfinite(sums.loss)

            def advance(carry):
                done, state, sums = carry
                state, batch_sums = update(state, batches(done))
                return done + 1, state, sums + batch_sums

            _, state, sums = lax.while_loop(unfinished, advance, (jnp.int32(0), state, sums))
            return state, sums

        return program

    def _transformation(self, batch_size: int, clock: Clock, numbers: ArrayLike):
        """The chain at a batch size, its times told by a clock, with a member's numbers."""
        optimizer, growth = self._family.optimizer(numbers), self.experiment.batch_growth
        if growth is not None:
            factor = growth.lr_factor(self.plan.batch_sizes[0], batch_size)
            optimizer = optimizer.with_rate_times(factor)
        return optimizer.transformation(self.plan.with_clock(clock), self._evaluation_marks)

    def _evaluation_program(self):
        """The sums of one block."""

        def program(
            shard: TakeShard, variables: Variables, sums: MetricSums, count, *block: Any
        ) -> MetricSums:
            def add_batch(index, sums):
                rows = self._testing.rows(shard, index, block)
                batch_sums = rows.sums(self._model, variables)
                if self.driver.axis_name is not None:
                    batch_sums = lax.psum(batch_sums, self.driver.axis_name)
                return sums + batch_sums

            return lax.fori_loop(0, count, add_batch, sums)

        return program

    @cached_property
    def _nothing_pooled(self) -> PooledMoments:
        like = self._state.batch_stats
        return self.driver.initialise(lambda: PooledMoments.none(like))()

    @cached_property
    def _pooling(self) -> Mapping[int, Callable[..., PooledMoments]]:
        """For each size of batch, what adds a block to the pooled statistics of some parameters."""
        return {
            size: self.driver.compile(
                self._pooling_program(size),
                *(self._state.params, self._nothing_pooled, np.int32(0), *self._looking.like(size)),
                split=_behind(3, self._looking.split),
            )
            for size, _ in self._moment_batches
        }

    def _pooling_program(self, size: int):
        """The statistics of one block."""

        def program(
            shard: TakeShard, params: Params, pooled: PooledMoments, count, *block: Any
        ) -> PooledMoments:
            # The running statistics are not looked at, but a network takes some.
            stats = jax.tree.map(jnp.zeros_like, pooled.batch_stats)
            variables = {"params": params, "batch_stats": stats}

            def add_batch(index, pooled):
                batch = self._looking.batch(self._looking.rows(shard, size, index, block), block)
                return pooled.add(self._model.batch_moments(variables, batch.images), size)

            return lax.fori_loop(0, count, add_batch, pooled)

        return program

    @cached_property
    def _prediction(self):
        """The probabilities of one batch of a block, their labels, and which of them count."""

        def program(shard: TakeShard, variables: Variables, index, *block: Any):
            images, labels, counts = self._testing.rows(shard, index, block)
            found = jax.nn.softmax(self._model.eval_logits(variables, images))
            return self.driver.gather((found, labels, counts))

        return self.driver.compile(
            program,
            *(self._state.variables, np.int32(0), *self._testing.like()),
            split=_behind(2, self._testing.split),
        )


def _behind(count: int, positions: tuple[int, ...]) -> tuple[int, ...]:
    """A block's positions among a program's arguments, of which `count` come before it."""
    return tuple(count + position for position in positions)
