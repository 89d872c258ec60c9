"""An experiment made executable: its data on device and its programs compiled."""

import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsched.data import Dataset, Images
from jaxsched.models import Params, Variables
from jaxsched.train.experiment import Experiment
from jaxsched.train.feeds import Order, Preparation
from jaxsched.train.moments import Pooled, even_batches
from jaxsched.train.norms import NormChange, layer_names, squared_norms
from jaxsched.train.parallel import Shard, check_divisible, make_driver
from jaxsched.train.randomness import stream
from jaxsched.train.resident import ResidentEvaluation, ResidentTraining
from jaxsched.train.state import TrainState, init_state
from jaxsched.train.step import make_update
from jaxsched.train.streaming import StreamedEvaluation, StreamedTraining
from jaxsched.train.sums import Sums, cross_entropy
from jaxsched.transforms import averaged_params

# Enough to keep a GPU busy; a CPU is indifferent. Rounded up to a multiple of the devices.
_EVALUATION_BATCH = 512


class Prediction(NamedTuple):
    """What a network makes of the test images."""

    probabilities: np.ndarray  # f32[images, classes]
    labels: np.ndarray  # int32[images]


class Program:
    """What runs an experiment, for any seed: compiled once, ahead of time, for each batch size.

    A data set in memory lies on every device as uint8, and a dispatch makes many updates. One that
    is read record by record is streamed, a batch a dispatch. Either way the batches are augmented
    on the device, sums are kept there, and the run is the same.

    Args:
        experiment: its seed is not looked at.
        dataset: what `experiment.data.load()` gave.
        read_workers: processes that read and decode streamed data; 0 does it in threads.

    Attributes:
        plan: the experiment's phases on this data.
        evaluation_steps: the updates after which it is evaluated.
        layer_names: the layers that `squared_norms` speaks of.
        compile_seconds: what tracing, compiling and placing the data took.

    Raises:
        ValueError: when a batch size does not divide by the number of devices, before anything
            compiles.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset, *, read_workers: int = 0):
        self.experiment, self.dataset = experiment, dataset
        self.plan = experiment.plan(len(dataset.train))
        self.driver = make_driver(
            experiment.driver,
            experiment.num_devices,
            batch_sizes=self.plan.batch_sizes,
            pixels=math.prod(dataset.train.image_shape[:2]),
        )
        check_divisible(self.plan.batch_sizes, len(self.driver.devices))
        self.evaluation_steps = experiment.evaluation_steps(len(dataset.train))
        self._norm_rates = experiment.optimizer.norm_rates if experiment.weight_norms else None
        dtype = jnp.dtype(experiment.precision)
        self._model = experiment.model.build(
            dataset.num_classes, dtype=dtype, axis_name=self.driver.axis_name
        )
        self._tx = experiment.optimizer.transformation(self.plan, self.evaluation_steps)
        self._init = self.driver.initialise(self._init_state)
        start = time.perf_counter()
        self._place(Preparation(experiment.augment, dataset.mean, dataset.std, dtype), read_workers)
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    def init(self, seed: int) -> TrainState:
        """The state before the first update."""
        return self._init(np.int32(seed))

    def order(self, seed: int, epoch: int) -> jax.Array:
        """The examples of this epoch and of the next, in order: int32[2 N], on device."""
        return self._order(seed, epoch)

    def zero_sums(self) -> Sums:
        """Sums of no example, on every device."""
        return self._zero()

    def update(
        self, state: TrainState, sums: Sums, *, seed: int, step: int, count: int
    ) -> tuple[TrainState, Sums]:
        """Makes `count` updates from `step` on, without waiting for them.

        They must have one batch size and start in one epoch. Updates end with the first loss that
        is not finite: the sums say so, and the state's step says which update it was.

        Args:
            state: of `step`; overwritten.
            sums: what these updates' sums are added to.
            seed: of the run.
            step: the first update.
            count: how many.
        """
        size = self.plan.batch_size_at(step)
        places = self.plan.place_at(step)
        for number, block in self._training.blocks(seed, *places, size, count):
            state, sums = self._updates[size](state, sums, np.int32(number), *block)
        return state, sums

    def evaluate(self, variables: Variables) -> Sums:
        """Loss and hits over the test images, on device."""
        sums = self._no_hits
        for number, block in self._testing.blocks():
            sums = self._evaluation(variables, sums, np.int32(number), *block)
        return sums

    def reestimate(self, params: Params, *, seed: int, step: int, num_examples: int) -> Variables:
        """Any parameters, with batch-norm statistics re-estimated for them.

        The statistics are those of training examples as the updates from `step` on would see them:
        augmented, in batches that normalise themselves, pooled over all of them.

        Args:
            params: such as an average, on every device.
            seed: of the run.
            step: how many updates are done.
            num_examples: how many to look at, up to a batch; never more than there are.
        """
        (epoch, place), pooled = self.plan.place_at(step), self._nothing_pooled
        wanted = min(num_examples, self.plan.num_examples)
        left = -(-wanted // self._moment_batches[-1].size)
        for size, most in self._moment_batches:
            count = min(left, most)
            for number, block in self._looking.blocks(seed, epoch, place, size, count):
                pooled = self._pooling[size](params, pooled, np.int32(number), *block)
            place, left = place + size * count, left - count
        self._looking.stop()
        return {"params": params, "batch_stats": pooled.batch_stats}

    def stop_reading(self) -> None:
        """Ends what streamed data is read ahead; a later update starts to read anew."""
        self._training.stop()

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
        return self.driver.memory_of(self._compile_updates(size))

    def _place(self, preparation: Preparation, read_workers: int) -> None:
        """Brings the data to the devices, or prepares to."""
        driver, train, test = self.driver, self.dataset.train, self.dataset.test
        num_devices = len(driver.devices)
        self._order = Order(driver, len(train))
        self._moment_batches = even_batches(len(train), _EVALUATION_BATCH, num_devices)
        batch_size = -(-min(_EVALUATION_BATCH, len(test)) // num_devices) * num_devices
        if isinstance(train, Images):
            self._training = ResidentTraining(driver, train, self._order, preparation)
            self._looking = self._training
        else:
            # Each reads ahead on its own, so that a look at other examples costs no update time.
            self._training, self._looking = (
                StreamedTraining(driver, train, self._order, preparation, read_workers)
                for _ in range(2)
            )
        if isinstance(test, Images):
            self._testing = ResidentEvaluation(driver, test, batch_size, preparation)
        else:
            self._testing = StreamedEvaluation(driver, test, batch_size, preparation, read_workers)

    def _compile(self) -> None:
        state, number = self.init(0), np.int32(0)
        self.layer_names = layer_names(state.params)
        self._zero = self.driver.initialise(lambda: self._zero_sums(state))
        self._updates = {size: self._compile_updates(size) for size in self.plan.batch_sizes}
        self._no_hits = self.driver.initialise(Sums.zero)()
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

    def _compile_updates(self, size: int) -> Callable[..., tuple[TrainState, Sums]]:
        """What makes updates of batches of this size."""
        return self.driver.compile(
            self._updates_program(size),
            *(self.init(0), self.zero_sums(), np.int32(0), *self._training.like(size)),
            donate=(0,),
            split=_behind(3, self._training.split),
        )

    def _zero_sums(self, state: TrainState) -> Sums:
        rates = self._norm_rates(state.opt_state) if self._norm_rates else None
        return Sums.zero(NormChange.zero(state.params) if rates is not None else None)

    def _init_state(self, seed: jax.Array) -> TrainState:
        shape = self.dataset.train.image_shape
        return init_state(self._model, self._tx, stream(seed, "weights"), shape)

    def _updates_program(self, batch_size: int):
        """The updates of one block."""
        update = make_update(
            self._model,
            self._tx,
            label_smoothing=self.experiment.label_smoothing,
            axis_name=self.driver.axis_name,
            norm_rates=self._norm_rates,
        )

        def program(shard: Shard, state, sums, count, *block: Any):
            def unfinished(carry):
                done, _, sums = carry
                return (done < count) & jnp.isfinite(sums.loss)

            def advance(carry):
                done, state, sums = carry
                batch = self._training.batch(shard, batch_size, done, block)
                state, batch_sums = update(state, batch)
                return done + 1, state, sums + batch_sums

            _, state, sums = lax.while_loop(unfinished, advance, (jnp.int32(0), state, sums))
            return state, sums

        return program

    def _evaluation_program(self):
        """The sums of one block."""

        def program(shard: Shard, variables: Variables, sums: Sums, count, *block: Any) -> Sums:
            def add_batch(index, sums):
                images, labels, counts = self._testing.rows(shard, index, block)
                logits = self._model.eval_logits(variables, images)
                losses = cross_entropy(logits, labels)
                batch_sums = Sums.of(logits, labels, losses, counts=counts)
                if self.driver.axis_name is not None:
                    batch_sums = lax.psum(batch_sums, self.driver.axis_name)
                return sums + batch_sums

            return lax.fori_loop(0, count, add_batch, sums)

        return program

    @cached_property
    def _nothing_pooled(self) -> Pooled:
        like = self.init(0).batch_stats
        return self.driver.initialise(lambda: Pooled.none(like))()

    @cached_property
    def _pooling(self) -> Mapping[int, Callable[..., Pooled]]:
        """For each size of batch, what adds a block to the pooled statistics of some parameters."""
        state = self.init(0)
        return {
            size: self.driver.compile(
                self._pooling_program(size),
                *(state.params, self._nothing_pooled, np.int32(0), *self._looking.like(size)),
                split=_behind(3, self._looking.split),
            )
            for size, _ in self._moment_batches
        }

    def _pooling_program(self, size: int):
        """The statistics of one block."""

        def program(shard: Shard, params: Params, pooled: Pooled, count, *block: Any) -> Pooled:
            # The running statistics are not looked at, but a network takes some.
            stats = jax.tree.map(jnp.zeros_like, pooled.batch_stats)
            variables = {"params": params, "batch_stats": stats}

            def add_batch(index, pooled):
                batch = self._looking.batch(shard, size, index, block)
                return pooled.add(self._model.batch_moments(variables, batch.images), size)

            return lax.fori_loop(0, count, add_batch, pooled)

        return program

    @cached_property
    def _prediction(self):
        """The probabilities of one batch of a block, their labels, and which of them count."""

        def program(shard: Shard, variables: Variables, index, *block: Any):
            images, labels, counts = self._testing.rows(shard, index, block)
            found = jax.nn.softmax(self._model.eval_logits(variables, images))
            return self.driver.gather((found, labels, counts))

        return self.driver.compile(
            program,
            *(self.init(0).variables, np.int32(0), *self._testing.like()),
            split=_behind(2, self._testing.split),
        )


def _behind(count: int, positions: tuple[int, ...]) -> tuple[int, ...]:
    """A block's positions among a program's arguments, of which `count` come before it."""
    return tuple(count + position for position in positions)
