"""Several runs at once, by one program: one a device, or some side by side on each."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsched.data import Dataset, Images
from jaxsched.models import Variables
from jaxsched.train.dispatch import DispatchSizer
from jaxsched.train.distributed.driver import TakeShard
from jaxsched.train.distributed.population import MembersDriver
from jaxsched.train.input_pipeline.base import EVALUATION_BATCH, EpochShuffle, Preprocess
from jaxsched.train.input_pipeline.on_device import OnDeviceEvaluation, OnDeviceTraining
from jaxsched.train.population.family import Member, SharedProgramSpec, why_alone
from jaxsched.train.rng import random_key
from jaxsched.train.step.metrics import MetricSums
from jaxsched.train.step.micro_batches import MicroBatches
from jaxsched.train.step.state import TrainState, init_state
from jaxsched.train.step.train_step import make_update


class StepMetrics(NamedTuple):
    """What every update of a run measured on its batch before it changed the weights.

    NaN for updates that are still to come. Those of several runs have an axis of members first.
    """

    losses: jax.Array | np.ndarray  # f32[updates], means, augmented, as trained on
    accuracies: jax.Array | np.ndarray  # f32[updates]

    @classmethod
    def empty(cls, num_updates: int) -> "StepMetrics":
        """Of no update yet."""
        return cls(*(jnp.full(num_updates, jnp.nan, jnp.float32) for _ in cls._fields))

    def with_update(self, step: jax.Array, sums: MetricSums) -> "StepMetrics":
        """Also with what this update measured; traced."""
        measured = sums.loss / sums.count, sums.correct / sums.count
        parts = zip(self, measured, strict=True)
        return StepMetrics(*(jnp.asarray(part).at[step].set(value) for part, value in parts))


class Population:
    """What runs members of a family several at once; compiled once, ahead of time, for all of them.

    Every member is on one device with its whole batch, and has its own weights, order and
    augmentation: it is the run that it would be alone. One that diverges does not touch the others.

    Args:
        members: all that it is to run; of one family.
        dataset: what their `data.load()` gave.
        driver: how many of them run at once, and where.

    Attributes:
        plan: of each member.
        compile_seconds: what tracing, compiling and placing the data took.

    Raises:
        ValueError: when the members are not of one family, or cannot be run so.

    Example:
        >>> import jax, jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.train import Population, Member, MembersDriver
        >>> from jaxsched.experiment import Experiment
        >>> experiment = Experiment(
        ...     name="tiny",
        ...     model=CifarResNet(depth=8, width=2),
        ...     data=Synthetic(num_train=64, num_test=32),
        ...     phases=(js.Phase(epochs=2, batch_size=16),),
        ...     optimizer=js.SGD(lr=0.05, momentum=0.9),
        ... )
        >>> members = [Member(experiment, seed) for seed in (0, 1)]
        >>> driver = MembersDriver(jax.devices()[:1], per_device=2)
        >>> runs = Population(members, experiment.data.load(), driver).start(members)
        >>> runs.advance(8)
        >>> runs.trace().losses.shape, len(runs.evaluate())
        ((2, 8), 2)
    """

    def __init__(self, members: Sequence[Member], dataset: Dataset, driver: MembersDriver):
        experiment = members[0].experiment
        if reason := why_alone(experiment, dataset):
            raise ValueError(
                f"{experiment.name} cannot be run with others in one program, because {reason}; "
                "run it alone."
            )
        self.plan = experiment.plan(len(dataset.train))
        self.driver, self._members = driver, tuple(members)
        self._family = SharedProgramSpec([member.experiment for member in members], self.plan)
        start = time.perf_counter()
        self._place(dataset)
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    def start(self, members: Sequence[Member], state: TrainState | None = None) -> "PopulationRun":
        """Some members under way, at most as many as the driver runs at once.

        Args:
            members: of those that the cohort was made for.
            state: of one run, where each of them goes on from; from its own first weights if None.
        """
        # Places that nobody takes run the last member again.
        filled = (*members, *[members[-1]] * (self.driver.num_members - len(members)))
        numbers = self._family.numbers[[self._members.index(member) for member in filled]]
        seeds = tuple(member.seed for member in filled)
        first, trace = self._init(numbers, np.array(seeds, np.int32))
        first = first if state is None else self.driver.repeat(state)
        runs = MemberStates(first, trace, self.driver.divide(numbers), seeds)
        return PopulationRun(self, len(members), runs)

    def update(self, runs: "MemberStates", step: int, count: int) -> "MemberStates":
        """Makes `count` updates of all members, without waiting; their state is overwritten.

        They must start in one epoch.
        """
        places = self.plan.place_at(step)
        ((_, block),) = self._training.blocks(runs.seeds, *places, self._batch_size, count)
        state, trace = self._update(
            runs.state, runs.trace, runs.numbers, np.int32(step), np.int32(count), *block
        )
        return runs._replace(state=state, trace=trace)

    def evaluate(self, variables: Variables) -> MetricSums:
        """Loss and hits of each member over the test images, on device."""
        ((count, block),) = self._testing.blocks()
        return self._evaluation(variables, np.int32(count), *block)

    def _place(self, dataset: Dataset) -> None:
        experiment = self._family.experiment
        dtype = jnp.dtype(experiment.precision)
        self._model = experiment.model.build(dataset.num_classes, dtype=dtype, axis_name=None)
        self._image_shape, self._batch_size = dataset.train.image_shape, self.plan.batch_sizes[0]
        preparation = Preprocess(experiment.augment, dataset.mean, dataset.std, dtype)
        train, test = dataset.train, dataset.test
        assert isinstance(train, Images) and isinstance(test, Images)
        self._training = OnDeviceTraining(
            self.driver, train, EpochShuffle(self.driver, len(train)), preparation
        )
        size = min(EVALUATION_BATCH, len(test))
        self._testing = OnDeviceEvaluation(self.driver, test, size, preparation)

    def _compile(self) -> None:
        like, number = self.driver.divided_like, np.int32(0)
        numbers, seed = like(self._family.numbers.shape[1:], np.float32), like((), np.int32)
        self._init = self.driver.initialise(self._init_run)
        run = self.driver.members_like(jax.eval_shape(self._init, numbers, seed))
        order = like((2 * self.plan.num_examples,), np.int32)
        _, _, _, _, *arrays = self._training.like(self._batch_size)
        self._update = self.driver.compile(
            self._updates_program,
            *(*run, numbers, number, number, seed, number, number, order, *arrays),
            donate=(0,),
            split=(0, 1, 2, 5, 8),
        )
        state, _ = run
        self._evaluation = self.driver.compile(
            self._evaluation_program, state.variables, number, *self._testing.like(), split=(0,)
        )

    def _transformation(self, numbers: jax.Array):
        return self._family.optimizer(numbers).transformation(self.plan)

    def _init_run(self, numbers: jax.Array, seed: jax.Array) -> tuple[TrainState, StepMetrics]:
        """A member before its first update."""
        key = random_key(seed, "weights")
        state = init_state(self._model, self._transformation(numbers), key, self._image_shape)
        return state, StepMetrics.empty(self.plan.total_steps)

    def _updates_program(self, shard: TakeShard, state, trace, numbers, step, count, *block):
        """Updates of one member, from one place of its stream on."""
        update = make_update(
            self._model,
            self._transformation(numbers),
            label_smoothing=self._family.experiment.label_smoothing,
        )

        def advance(index: jax.Array, carry: tuple[TrainState, StepMetrics]):
            state, trace = carry
            rows = self._training.rows(shard, self._batch_size, index, block)
            state, sums = update(state, MicroBatches.one(self._training.batch(rows, block)))
            return state, trace.with_update(step + index, sums)

        return lax.fori_loop(0, count, advance, (state, trace))

    def _evaluation_program(
        self, shard: TakeShard, variables: Variables, count, *block
    ) -> MetricSums:
        """The sums of one member."""

        def add_batch(index: jax.Array, sums: MetricSums) -> MetricSums:
            return sums + self._testing.rows(shard, index, block).sums(self._model, variables)

        return lax.fori_loop(0, count, add_batch, MetricSums.zero())


class MemberStates(NamedTuple):
    """What changes from update to update, of all members, and what tells them apart."""

    state: TrainState  # each array [members, …]
    trace: StepMetrics
    numbers: jax.Array  # f32[members, numbers]
    seeds: tuple[int, ...]


class PopulationRun:
    """Members under way, all at the same update; see `Population.start`.

    Attributes:
        step: how many updates are made or under way.
    """

    def __init__(self, population: Population, num_members: int, runs: MemberStates):
        self._population, self._num_members, self._runs = population, num_members, runs
        self.step, self._sizer = int(runs.state.step[0]), DispatchSizer()

    def advance(
        self,
        until: int,
        *,
        dispatch: int | None = None,
        on_updates: Callable[[int], None] = lambda step: None,
    ) -> None:
        """Makes updates up to `until`, the host ahead of the devices by one dispatch.

        Args:
            until: how many updates are made in all, then.
            dispatch: the most updates of a dispatch; by default those of about a second.
            on_updates: takes the number that is certainly made, about once a second.
        """
        plan, before = self._population.plan, None
        while self.step < until:
            stop = min(until, plan.next_boundary(self.step))
            count = min(dispatch or self._sizer.updates, stop - self.step)
            self._runs = self._population.update(self._runs, self.step, count)
            self.step += count
            if before is not None:
                jax.block_until_ready(before[1])
                self._sizer.done(before[0])
                on_updates(before[0])
            before = self.step, self._runs.trace
        jax.block_until_ready(self._runs.trace)
        self._sizer.pause()
        on_updates(self.step)

    def trace(self) -> StepMetrics:
        """What the updates made so far measured, f64[members, updates], on the host."""
        trace = jax.device_get(self._runs.trace)
        made = slice(self._num_members), slice(self.step)
        return StepMetrics(*(np.asarray(part[made], np.float64) for part in trace))

    def evaluate(self) -> list[MetricSums]:
        """Loss and hits over the test images, member by member, on the host."""
        sums = jax.device_get(self._population.evaluate(self._runs.state.variables))
        return [MetricSums(*row) for row in zip(sums.loss, sums.correct, sums.count, strict=True)][
            : self._num_members
        ]

    def state(self, member: int) -> TrainState:
        """That of one member, on the host, which other members may go on from."""
        return jax.tree.map(lambda part: np.asarray(part[member]), self._runs.state)
