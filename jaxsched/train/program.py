"""An experiment made executable: its data on device and its programs compiled."""

import time
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsched.data import Dataset, epoch_order, example_keys, normalise
from jaxsched.models import Params, Variables
from jaxsched.train.experiment import Experiment
from jaxsched.train.moments import Pooled, even_batches
from jaxsched.train.norms import NormChange, layer_names, squared_norms
from jaxsched.train.parallel import Shard, check_divisible, make_driver
from jaxsched.train.state import TrainState, init_state
from jaxsched.train.step import Batch, make_update
from jaxsched.train.sums import Sums, cross_entropy
from jaxsched.transforms import averaged_params

# Enough to keep a GPU busy; a CPU is indifferent. Rounded up to a multiple of the devices.
_EVALUATION_BATCH = 512


class Program:
    """What runs an experiment, for any seed: compiled once, ahead of time, for each batch size.

    The data set lies in device memory as uint8. A dispatch makes many updates: the batches are
    gathered and augmented on device, and sums are kept there.

    Args:
        experiment: its seed is not looked at.
        dataset: what `experiment.data.load()` gave.

    Attributes:
        plan: the experiment's phases on this data.
        evaluation_steps: the updates after which it is evaluated.
        layer_names: the layers that `squared_norms` speaks of.
        compile_seconds: what tracing, compiling and placing the data took.

    Raises:
        ValueError: when a batch size does not divide by the number of devices, before anything
            compiles.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset):
        self.experiment = experiment
        self.dataset = dataset
        self.plan = experiment.plan(len(dataset.train))
        self.driver = make_driver(experiment.driver, experiment.num_devices)
        check_divisible(self.plan.batch_sizes, len(self.driver.devices))
        self._moment_batches = even_batches(
            self.plan.num_examples, _EVALUATION_BATCH, len(self.driver.devices)
        )
        self._norm_rates = experiment.optimizer.norm_rates if experiment.weight_norms else None
        self._dtype = jnp.dtype(experiment.precision)
        self._model = experiment.model.build(
            dataset.num_classes, dtype=self._dtype, axis_name=self.driver.axis_name
        )
        self.evaluation_steps = experiment.evaluation_steps(len(dataset.train))
        self._tx = experiment.optimizer.transformation(self.plan, self.evaluation_steps)
        self._init = self.driver.initialise(self._init_state)
        self._order = self.driver.initialise(self._order_of_two_epochs)
        start = time.perf_counter()
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    def init(self, seed: int) -> TrainState:
        """The state before the first update."""
        return self._init(np.int32(seed))

    def order(self, seed: int, epoch: int) -> jax.Array:
        """The examples of this epoch and of the next, in order: int32[2 N], on device."""
        return self._order(np.int32(seed), np.int32(epoch))

    def zero_sums(self) -> Sums:
        """Sums of no example, on every device."""
        return self._zero()

    def update(
        self, state: TrainState, sums: Sums, *, seed: int, order: jax.Array, step: int, count: int
    ) -> tuple[TrainState, Sums]:
        """Makes `count` updates from `step` on in one dispatch, without waiting for them.

        They must have one batch size and start in one epoch. Updates end with the first loss that
        is not finite: the sums say so, and the state's step says which update it was.

        Args:
            state: of `step`; overwritten.
            sums: what this dispatch's sums are added to.
            seed: of the run.
            order: of the epoch that the updates start in.
            step: the first update.
            count: how many.
        """
        epoch, place = self.plan.place_at(step)
        program = self._updates[self.plan.batch_size_at(step)]
        numbers = (np.int32(number) for number in (seed, epoch, place, count))
        return program(state, sums, *numbers, order, *self._train)

    def evaluate(self, variables: Variables) -> Sums:
        """Loss and hits over the test images, on device."""
        return self._evaluation(variables, *self._test)

    def reestimate(
        self, params: Params, *, seed: int, order: jax.Array, step: int, num_examples: int
    ) -> Variables:
        """Any parameters, with batch-norm statistics re-estimated for them.

        The statistics are those of training examples as the updates from `step` on would see them:
        augmented, in batches that normalise themselves, pooled over all of them.

        Args:
            params: such as an average, on every device.
            seed: of the run.
            order: of the epoch that update `step` starts in.
            step: how many updates are done.
            num_examples: how many to look at, up to a batch; never more than there are.
        """
        epoch, place = self.plan.place_at(step)
        wanted = min(num_examples, self.plan.num_examples)
        num_batches = -(-wanted // self._moment_batches[-1].size)
        numbers = (np.int32(number) for number in (seed, epoch, place, num_batches))
        return self._reestimation(params, *numbers, order, *self._train)

    def averaged_params(self, state: TrainState) -> Params:
        """The mean of the weights that the chain keeps; only for an experiment with averaging."""
        return self._average(state)

    def probabilities(self, variables: Variables) -> jax.Array:
        """What the network gives each class for each test image, f32[images, classes]."""
        return self._prediction(variables, self._test[0])

    def squared_norms(self, state: TrainState) -> jax.Array:
        """|w|² of each layer, f32[layers], on device."""
        return self._norms(state)

    def _compile(self) -> None:
        train, test = self.dataset.train, self.dataset.test
        self._train = self.driver.replicate((train.images, train.labels))
        self._test = self.driver.replicate((test.images, test.labels))
        state, order, number = self.init(0), self.order(0, 0), np.int32(0)
        self.layer_names = layer_names(state.params)
        self._zero = self.driver.initialise(lambda: self._zero_sums(state))
        sums = self.zero_sums()
        self._updates = {
            size: self.driver.compile(
                self._updates_program(size),
                *(state, sums, number, number, number, number, order, *self._train),
                donate=(0,),
            )
            for size in self.plan.batch_sizes
        }
        self._evaluation = self.driver.compile(
            self._evaluation_program(), state.variables, *self._test
        )
        self._norms = self.driver.compile(lambda _, state: squared_norms(state.params), state)
        if self.experiment.optimizer.averaging is not None:
            self._average = self.driver.compile(
                lambda _, state: averaged_params(state.opt_state, state.params), state
            )
            _ = self._reestimation  # compiled before the clock runs

    def _zero_sums(self, state: TrainState) -> Sums:
        rates = self._norm_rates(state.opt_state) if self._norm_rates else None
        return Sums.zero(NormChange.zero(state.params) if rates is not None else None)

    def _init_state(self, seed: jax.Array) -> TrainState:
        shape = self.dataset.train.images.shape[1:]
        return init_state(self._model, self._tx, _stream(seed, "weights"), shape)

    def _order_of_two_epochs(self, seed: jax.Array, epoch: jax.Array) -> jax.Array:
        key, num_examples = _stream(seed, "order"), self.plan.num_examples
        return jnp.concatenate([epoch_order(key, epoch + i, num_examples) for i in (0, 1)])

    def _normalise(self, images: jax.Array) -> jax.Array:
        return normalise(images, self.dataset.mean, self.dataset.std, self._dtype)

    def _batch(
        self,
        places: jax.Array,
        seed: jax.Array,
        epoch: jax.Array,
        order: jax.Array,
        images: jax.Array,
        labels: jax.Array,
    ) -> Batch:
        """The examples at these places of two epochs, augmented as these epochs do."""
        examples = order[places]
        epochs = epoch + places // self.plan.num_examples
        keys = example_keys(_stream(seed, "augmentation"), epochs, examples)
        return Batch(
            images=self._normalise(self.experiment.augment(images, examples, keys)),
            labels=labels[examples],
            keys=example_keys(_stream(seed, "dropout"), epochs, examples),
        )

    def _updates_program(self, batch_size: int):
        """Many updates at one batch size, all of which start in one epoch."""
        update = make_update(
            self._model,
            self._tx,
            label_smoothing=self.experiment.label_smoothing,
            axis_name=self.driver.axis_name,
            norm_rates=self._norm_rates,
        )

        def program(shard: Shard, state, sums, seed, epoch, place, count, *data: Any):
            def unfinished(carry):
                done, _, sums = carry
                return (done < count) & jnp.isfinite(sums.loss)

            def advance(carry):
                done, state, sums = carry
                places = shard(place + done * batch_size + jnp.arange(batch_size))
                batch = self._batch(places, seed, epoch, *data)
                state, batch_sums = update(state, batch)
                return done + 1, state, sums + batch_sums

            _, state, sums = lax.while_loop(unfinished, advance, (jnp.int32(0), state, sums))
            return state, sums

        return program

    def _evaluation_program(self):
        """The whole test set in batches; the last one is filled up and the filling not counted."""
        num_devices, num_images = len(self.driver.devices), len(self.dataset.test)
        batch_size = -(-min(_EVALUATION_BATCH, num_images) // num_devices) * num_devices

        def program(
            shard: Shard, variables: Variables, images: jax.Array, labels: jax.Array
        ) -> Sums:
            def add_batch(index, sums):
                places = shard(index * batch_size + jnp.arange(batch_size))
                examples = jnp.minimum(places, num_images - 1)
                logits = self._model.eval_logits(variables, self._normalise(images[examples]))
                losses = cross_entropy(logits, labels[examples])
                batch_sums = Sums.of(logits, labels[examples], losses, counts=places < num_images)
                if self.driver.axis_name is not None:
                    batch_sums = lax.psum(batch_sums, self.driver.axis_name)
                return sums + batch_sums

            return lax.fori_loop(0, -(-num_images // batch_size), add_batch, Sums.zero())

        return program

    @cached_property
    def _reestimation(self):
        """Parameters, and a pass over examples for their batch-norm statistics."""

        def program(
            shard: Shard, params: Params, seed, epoch, place, num_batches, *data: Any
        ) -> Variables:
            stats = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like.batch_stats)
            variables, pooled = {"params": params, "batch_stats": stats}, Pooled.none(stats)
            for size, count in self._moment_batches:

                def add_batch(index, pooled, size=size, place=place):
                    places = shard(place + index * size + jnp.arange(size))
                    batch = self._batch(places, seed, epoch, *data)
                    return pooled.add(self._model.batch_moments(variables, batch.images), size)

                count = jnp.minimum(num_batches, count)
                pooled = lax.fori_loop(0, count, add_batch, pooled)
                place, num_batches = place + size * count, num_batches - count
            return {"params": params, "batch_stats": pooled.batch_stats}

        like, numbers = self.init(0), (np.int32(0),) * 4
        return self.driver.compile(program, like.params, *numbers, self.order(0, 0), *self._train)

    @cached_property
    def _prediction(self):
        """The probabilities, batch after batch; each device computes all of them."""

        num_images = len(self.dataset.test)
        size = min(_EVALUATION_BATCH, num_images)
        places = jnp.arange(-(-num_images // size) * size).reshape(-1, size)

        def program(_: Shard, variables: Variables, images: jax.Array) -> jax.Array:
            def of_batch(places):
                batch = self._normalise(images[jnp.minimum(places, num_images - 1)])
                return jax.nn.softmax(self._model.eval_logits(variables, batch))

            found = lax.map(of_batch, places)
            return found.reshape(-1, found.shape[-1])[:num_images]

        return self.driver.compile(program, self.init(0).variables, self._test[0])


# What each stream of random numbers is folded in with: fixed, because they define a seed's run.
_STREAMS = {"weights": 0, "order": 1, "augmentation": 2, "dropout": 3}


def _stream(seed: jax.Array, name: str) -> jax.Array:
    """The key of one use of randomness, independent of those of the others."""
    return jax.random.fold_in(jax.random.key(seed), _STREAMS[name])
