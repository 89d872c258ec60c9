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
from jaxsched.train.batch import MicroBatches
from jaxsched.train.feeds import EVALUATION_BATCH, Order, Preparation
from jaxsched.train.members import Family, Member, why_alone
from jaxsched.train.pace import Pace
from jaxsched.train.parallel import MembersDriver, Shard
from jaxsched.train.randomness import stream
from jaxsched.train.resident import ResidentEvaluation, ResidentTraining
from jaxsched.train.state import TrainState, init_state
from jaxsched.train.step import make_update
from jaxsched.train.sums import Sums


class Trace(NamedTuple):
    """What every update of a run measured on its batch before it changed the weights.

    NaN for updates that are still to come. Those of several runs have an axis of members first.
    """

    losses: jax.Array | np.ndarray  # f32[updates], means, augmented, as trained on
    accuracies: jax.Array | np.ndarray  # f32[updates]

    @classmethod
    def empty(cls, num_updates: int) -> "Trace":
        """Of no update yet."""
        return cls(*(jnp.full(num_updates, jnp.nan, jnp.float32) for _ in cls._fields))

    def with_update(self, step: jax.Array, sums: Sums) -> "Trace":
        """Also with what this update measured; traced."""
        measured = sums.loss / sums.count, sums.correct / sums.count
        parts = zip(self, measured, strict=True)
        return Trace(*(jnp.asarray(part).at[step].set(value) for part, value in parts))


class Cohort:
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
        >>> from jaxsched.train import Cohort, Experiment, Member, MembersDriver
        >>> experiment = Experiment(
        ...     name="tiny",
        ...     model=CifarResNet(depth=8, width=2),
        ...     data=Synthetic(num_train=64, num_test=32),
        ...     phases=(js.Phase(epochs=2, batch_size=16),),
        ...     optimizer=js.SGD(lr=0.05, momentum=0.9),
        ... )
        >>> members = [Member(experiment, seed) for seed in (0, 1)]
        >>> driver = MembersDriver(jax.devices()[:1], per_device=2)
        >>> runs = Cohort(members, experiment.data.load(), driver).start(members)
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
        self._family = Family([member.experiment for member in members], self.plan)
        start = time.perf_counter()
        self._place(dataset)
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    def start(self, members: Sequence[Member], state: TrainState | None = None) -> "Round":
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
        runs = Runs(first, trace, self.driver.divide(numbers), seeds)
        return Round(self, len(members), runs)

    def update(self, runs: "Runs", step: int, count: int) -> "Runs":
        """Makes `count` updates of all members, without waiting; their state is overwritten.

        They must start in one epoch.
        """
        places = self.plan.place_at(step)
        ((_, block),) = self._training.blocks(runs.seeds, *places, self._batch_size, count)
        state, trace = self._update(
            runs.state, runs.trace, runs.numbers, np.int32(step), np.int32(count), *block
        )
        return runs._replace(state=state, trace=trace)

    def evaluate(self, variables: Variables) -> Sums:
        """Loss and hits of each member over the test images, on device."""
        ((count, block),) = self._testing.blocks()
        return self._evaluation(variables, np.int32(count), *block)

    def _place(self, dataset: Dataset) -> None:
        experiment = self._family.experiment
        dtype = jnp.dtype(experiment.precision)
        self._model = experiment.model.build(dataset.num_classes, dtype=dtype, axis_name=None)
        self._image_shape, self._batch_size = dataset.train.image_shape, self.plan.batch_sizes[0]
        preparation = Preparation(experiment.augment, dataset.mean, dataset.std, dtype)
        train, test = dataset.train, dataset.test
        assert isinstance(train, Images) and isinstance(test, Images)
        self._training = ResidentTraining(
            self.driver, train, Order(self.driver, len(train)), preparation
        )
        size = min(EVALUATION_BATCH, len(test))
        self._testing = ResidentEvaluation(self.driver, test, size, preparation)

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

    def _init_run(self, numbers: jax.Array, seed: jax.Array) -> tuple[TrainState, Trace]:
        """A member before its first update."""
        key = stream(seed, "weights")
        state = init_state(self._model, self._transformation(numbers), key, self._image_shape)
        return state, Trace.empty(self.plan.total_steps)

    def _updates_program(self, shard: Shard, state, trace, numbers, step, count, *block):
        """Updates of one member, from one place of its stream on."""
        update = make_update(
            self._model,
            self._transformation(numbers),
            label_smoothing=self._family.experiment.label_smoothing,
        )

        def advance(index: jax.Array, carry: tuple[TrainState, Trace]):
            state, trace = carry
            rows = self._training.rows(shard, self._batch_size, index, block)
            state, sums = update(state, MicroBatches.one(self._training.batch(rows, block)))
            return state, trace.with_update(step + index, sums)

        return lax.fori_loop(0, count, advance, (state, trace))

    def _evaluation_program(self, shard: Shard, variables: Variables, count, *block) -> Sums:
        """The sums of one member."""

        def add_batch(index: jax.Array, sums: Sums) -> Sums:
            return sums + self._testing.rows(shard, index, block).sums(self._model, variables)

        return lax.fori_loop(0, count, add_batch, Sums.zero())


class Runs(NamedTuple):
    """What changes from update to update, of all members, and what tells them apart."""

    state: TrainState  # each array [members, …]
    trace: Trace
    numbers: jax.Array  # f32[members, numbers]
    seeds: tuple[int, ...]


class Round:
    """Members under way, all at the same update; see `Cohort.start`.

    Attributes:
        step: how many updates are made or under way.
    """

    def __init__(self, cohort: Cohort, num_members: int, runs: Runs):
        self._cohort, self._num_members, self._runs = cohort, num_members, runs
        self.step, self._pace = int(runs.state.step[0]), Pace()

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
        plan, before = self._cohort.plan, None
        while self.step < until:
            stop = min(until, plan.alike_until(self.step))
            count = min(dispatch or self._pace.updates, stop - self.step)
            self._runs = self._cohort.update(self._runs, self.step, count)
            self.step += count
            if before is not None:
                jax.block_until_ready(before[1])
                self._pace.done(before[0])
                on_updates(before[0])
            before = self.step, self._runs.trace
        jax.block_until_ready(self._runs.trace)
        self._pace.pause()
        on_updates(self.step)

    def trace(self) -> Trace:
        """What the updates made so far measured, f64[members, updates], on the host."""
        trace = jax.device_get(self._runs.trace)
        made = slice(self._num_members), slice(self.step)
        return Trace(*(np.asarray(part[made], np.float64) for part in trace))

    def evaluate(self) -> list[Sums]:
        """Loss and hits over the test images, member by member, on the host."""
        sums = jax.device_get(self._cohort.evaluate(self._runs.state.variables))
        return [Sums(*row) for row in zip(sums.loss, sums.correct, sums.count, strict=True)][
            : self._num_members
        ]

    def state(self, member: int) -> TrainState:
        """That of one member, on the host, which other members may go on from."""
        return jax.tree.map(lambda part: np.asarray(part[member]), self._runs.state)
